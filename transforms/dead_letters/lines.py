"""Dead letters read back: one line of a dead-letter file into the record it was. Plain Python.

    line ──read_letter──▶ Letter ──record_of──▶ Record, as the input gave it
                                      └──────▶ RecordError, as the input's reader raised it

| the letter keeps           | it was                                   | it is read again as                     |
|----------------------------|------------------------------------------|-----------------------------------------|
| record_text, record_base64 | a line of JSON Lines, an array's element | JSON; model batch results are unwrapped |
|                            | a row of CSV that was no record          | a CSV of its own: header and row        |
| record                     | a row of CSV or Parquet                  | the value that it was                   |
| only the beginning of it   | too large, or cut off by damage          | not at all: it stays what it is         |
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transforms.batch import DeadLetter, Record
from transforms.errors import RecordError
from transforms.firestore.tagged_json import from_tagged_json
from transforms.inputs.formats.csv_rows import DELIMITERS, CsvRows, sniff_delimiter
from transforms.inputs.formats.json_values import parse_object
from transforms.inputs.items import STEP, Item
from transforms.inputs.streams import PlainStream
from transforms.models.results import unwrapped

_ORIGINALS = ("record_text", "record", "record_base64")
# With these codes a letter keeps the beginning of a record, which must not be taken for the whole.
_FRAGMENTS = frozenset({(STEP, "RECORD_TOO_LARGE"), (STEP, "UNREADABLE_FILE")})
# The step of earlier versions that learned of a refused row after the batch was completed, and kept what the row held.
_LATE_STEP = "LoadRows"
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    Attributes:
      fields: the line as it stands.
      original: what it keeps of the record; None if there was nothing to keep.
      failed_at: when the record failed first, which is about when it was read from its source.
    """

    fields: Mapping[str, Any]
    original: bytes | Mapping[str, Any] | None
    failed_at: datetime.datetime

    @property
    def job_id(self) -> str:
        """Of the job that gave the record up."""
        return str(self.fields["job_id"])

    @property
    def batch_id(self) -> str:
        """Of the batch it was part of."""
        return str(self.fields["batch_id"])

    @property
    def source(self) -> str:
        """Where the record was read."""
        return str(self.fields["source"])

    @property
    def position(self) -> int:
        """Where in the source."""
        return int(self.fields["position"])

    @property
    def attempts(self) -> int:
        """How often the record was tried."""
        return int(self.fields["attempts"])

    @property
    def key(self) -> str:
        """The same for the same record of the same place, whatever has happened to it since."""
        kept = {name: self.fields[name] for name in ("source", "position", *_ORIGINALS) if name in self.fields}
        return hashlib.blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class ReplayedRecord(Record):
    """A record out of a dead letter; `failed_at` as in `Letter`."""

    failed_at: datetime.datetime = _EPOCH


def read_letter(line: bytes) -> Letter:
    """The dead letter of one line.

    Raises:
      RecordError: what the line lacks to be one.

    >>> read_letter(b'{"job": "ingest"}')
    Traceback (most recent call last):
    transforms.errors.RecordError: NO_DEAD_LETTER: job_id must be a text, is missing
    """
    fields = parse_object(line)
    for name in ("job", "job_id", "batch_id", "source", "step", "code", "message", "time"):
        _check(fields, name, str, "a text")
    for name in ("position", "attempts"):
        _check(fields, name, int, "a whole number")
    kept = [name for name in _ORIGINALS if name in fields]
    if len(kept) != 1:
        raise RecordError("NO_DEAD_LETTER", f"it must have one of {', '.join(_ORIGINALS)}, has {len(kept)} of them")
    time = "first_time" if "first_time" in fields else "time"
    return Letter(fields, _original(fields, kept[0]), _moment(fields, time))


def record_of(letter: Letter) -> Record:
    """The record, read like the input it came from.

    Raises:
      RecordError: it is still no record.
    """
    fields, original = letter.fields, letter.original
    line = fields.get("line")
    if original is None or (fields["step"], fields["code"]) in _FRAGMENTS:
        raise RecordError(fields["code"], fields["message"])
    if not isinstance(original, bytes):
        # A record whose row was refused late had an id then, though perhaps not one of its own.
        known_id = fields.get("record_id") if fields["step"] == _LATE_STEP else None
        return ReplayedRecord(letter.position, original, line, fallback_id=known_id, failed_at=letter.failed_at)
    if _is_csv(original):
        return ReplayedRecord(letter.position, _csv_row(letter, original), line, failed_at=letter.failed_at)
    value = parse_object(original)
    return unwrapped(ReplayedRecord(letter.position, value, line, original, failed_at=letter.failed_at))


def still_dead(letter: Letter, error: RecordError) -> DeadLetter:
    """The dead letter of a record that is still none."""
    same = (error.code, error.message) == (letter.fields["code"], letter.fields["message"])
    step = letter.fields["step"] if same else STEP
    return DeadLetter(
        step, error.code, error.message, letter.original, position=letter.position, line=letter.fields.get("line")
    )


def _check(fields: Mapping[str, Any], name: str, kind: type, described: str) -> None:
    value = fields.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        found = "another value" if name in fields else "missing"
        raise RecordError("NO_DEAD_LETTER", f"{name} must be {described}, is {found}")


def _original(fields: Mapping[str, Any], name: str) -> bytes | Mapping[str, Any] | None:
    kept = fields[name]
    if name == "record":
        try:
            value = from_tagged_json(kept)
        except (ValueError, TypeError, AttributeError) as error:
            raise RecordError("NO_DEAD_LETTER", "record holds a tag, such as $bytes, with a wrong value") from error
        if value is None or isinstance(value, Mapping):
            return value
        raise RecordError("NO_DEAD_LETTER", "record must be an object")
    if not isinstance(kept, str):
        raise RecordError("NO_DEAD_LETTER", f"{name} must be a text, is another value")
    try:
        return kept.encode() if name == "record_text" else base64.b64decode(kept, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        what = "has lone surrogates" if name == "record_text" else "is not base64"
        raise RecordError("NO_DEAD_LETTER", f"{name} {what}") from error


def _moment(fields: Mapping[str, Any], name: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(str(fields[name]).removesuffix("Z"))
    except ValueError as error:
        raise RecordError("NO_DEAD_LETTER", f"{name} must be like 2026-01-01T00:00:00.000000Z") from error
    return moment.replace(tzinfo=moment.tzinfo or datetime.timezone.utc)


def _is_csv(original: bytes) -> bool:
    """Whether it is a header and a row. JSON that takes several lines begins with a bracket.

    >>> _is_csv(b"id,name\\n1,Ada,x\\n"), _is_csv(b'{"id":\\n1}'), _is_csv(b"nonsense")
    (True, False, False)
    """
    return b"\n" in original and original.lstrip()[:1] not in (b"{", b"[")


def _csv_row(letter: Letter, original: bytes) -> Mapping[str, Any]:
    text = original.decode("utf-8", "replace")
    header = text.partition("\n")[0]
    delimiter = sniff_delimiter(text) or max(DELIMITERS, key=header.count)
    reader = CsvRows(PlainStream(io.BytesIO(original), letter.source), delimiter, len(original) + 1)
    rows = list(reader.scan())
    if not rows:  # a header that was at fault itself, and still is alone
        raise RecordError(letter.fields["code"], letter.fields["message"])
    if isinstance(rows[0], DeadLetter):
        raise RecordError(rows[0].code, rows[0].message)
    if len(rows) > 1:
        raise RecordError("INVALID_CSV", f"the dead letter has {len(rows)} rows below its header instead of one")
    item: Item = rows[0]
    return reader.record(item._replace(position=letter.position, line=letter.fields.get("line"))).value
