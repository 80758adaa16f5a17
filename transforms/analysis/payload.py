"""What is sent about one record, and its hash: the same question is asked once. Pure.

    record ──fields of the spec──▶ masked ──▶ canonical JSON: the payload ──with model, instructions, schema──▶ hash

The hash names the answer in `pipeline_analyses`. Whatever changes the question changes it, nothing else does.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from transforms.analysis.masks import masked_values
from transforms.errors import RecordError
from transforms.records.analysis import Analysis

_HASH_BYTES = 20
_VERSION = b"1"
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NAIVE_UTC


@dataclass(frozen=True)
class Question:
    """What every record is asked by one model. Picklable.

    Attributes:
      analysis: the section of the spec.
      model: provider and model, such as `openai/gpt-5-mini`.
      address: of a server that is not the provider's own; empty for that.
    """

    analysis: Analysis
    model: str
    address: str = ""

    @property
    def identity(self) -> str:
        """Another one for another question."""
        return self.hash_of("")

    def payload_of(self, record: Mapping[str, Any]) -> str | None:
        """What is sent of a record; None if it has none of the fields. Raises RecordError if a value has no JSON."""
        found = self.analysis.found_in(record)
        if not found:
            return None
        masked = masked_values(found, self.analysis.masks)
        try:
            return orjson.dumps(masked, default=_plain, option=_OPTIONS).decode()
        except (TypeError, orjson.JSONEncodeError):
            raise RecordError("NOT_SENDABLE", "a field that is to be sent to the model has no form in JSON") from None

    def hash_of(self, payload: str) -> str:
        """Hex digest of all that the model sees and is asked for."""
        analysis = self.analysis
        parts = (
            self.model,
            self.address,
            analysis.instructions,
            analysis.schema,
            str(analysis.max_output_tokens),
            payload,
        )
        digest = hashlib.blake2b(_VERSION, digest_size=_HASH_BYTES)
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    raise TypeError
