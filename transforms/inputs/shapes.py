"""What becomes of a record's values between its file and the rest of the job, where something was chosen.

    Batch[Record] ──shaped──▶ Batch[Record]     keyed_by_id, then types, then nested_arrays

| option             | before                                            | after                                    |
|--------------------|---------------------------------------------------|------------------------------------------|
| keyed_by_id        | `{"p1": {"name": "Ada"}}`                         | `{"name": "Ada"}`, with the id `p1`      |
| types=tagged       | `{"$timestamp": "2026-01-01T00:00:00Z"}`          | a timestamp, see `tagged_types.py`       |
| nested_arrays=wrap | `[[1, 2], [3]]`                                   | `[{"$array": [1, 2]}, {"$array": [3]}]`  |
| nested_arrays=json | `[[1, 2], [3]]`                                   | `{"$json": "[[1, 2], [3]]"}`             |

A map of the user's own that looks like what is made of arrays is kept apart: `{"$map": {"$array": …}}`. So each form
can be turned back: `with_nested_arrays`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from transforms.batch import Batch, DeadLetter, Record
from transforms.errors import RecordError
from transforms.firestore.tagged_json import from_tagged_json, to_tagged_json
from transforms.inputs.items import STEP
from transforms.inputs.modes import JSON, PLAIN, REFUSE, WRAP
from transforms.inputs.options import ReadOptions
from transforms.inputs.tagged_types import typed
from transforms.unexpected import FAILURES, Unexpected

_ARRAY, _JSON, _MAP = "$array", "$json", "$map"
_OWN = frozenset({_ARRAY, _JSON, _MAP})


def shaped(batch: Batch[Record], options: ReadOptions, *, is_replay: bool = False) -> Batch[Record]:
    """The batch with its records as the options want them; one that has no such form is a dead letter.

    Args:
      is_replay: values that a dead letter has kept are as they should be; only its text is to be shaped again.
    """
    if not options.keyed_by_id and options.types == PLAIN and options.nested_arrays == REFUSE:
        return batch
    records, unfit = [], []
    unexpected = Unexpected("shaping the record", len(batch.entries), may_be_alike=is_replay)
    for record in batch.entries:
        try:
            records.append(record if is_replay and record.raw is None else _shaped(record, options))
        except FAILURES as error:
            unfit.append(DeadLetter.of(STEP, record, unexpected.as_record_error(error)))
    unexpected.check_not_alike()
    return batch.then(records, unfit)


def _shaped(record: Record, options: ReadOptions) -> Record:
    if options.keyed_by_id and record.raw is not None:
        record = _keyed(record)
    value: Any = record.value
    try:
        if options.types != PLAIN and record.raw is not None:
            value = {name: typed(member, name, options.documents) for name, member in value.items()}
        if options.nested_arrays != REFUSE:
            value = {name: without_nested_arrays(member, options.nested_arrays) for name, member in value.items()}
    except RecursionError as error:
        raise RecordError("TOO_DEEP", "the record nests objects and arrays too deeply to be read") from error
    return record if value is record.value else record._replace(value=value)


def _keyed(record: Record) -> Record:
    if len(record.value) != 1:
        raise RecordError("NOT_KEYED_BY_ID", f"a record keyed by its id is one member, got {len(record.value)}")
    ((key, value),) = record.value.items()
    if not isinstance(value, Mapping):
        raise RecordError("NOT_KEYED_BY_ID", "what stands under an id is not an object")
    return record._replace(value=value, fallback_id=key)


def without_nested_arrays(value: Any, form: str) -> Any:
    """A value in which no array stands directly in another one.

    Args:
      form: `wrap` or `json`.

    >>> without_nested_arrays({"at": [[1, 2], [3]]}, "wrap"), without_nested_arrays([[1, 2], [3]], "json")
    ({'at': [{'$array': [1, 2]}, {'$array': [3]}]}, {'$json': '[[1, 2], [3]]'})
    """
    if isinstance(value, Mapping):
        members = {name: without_nested_arrays(member, form) for name, member in value.items()}
        return {_MAP: members} if len(members) == 1 and not _OWN.isdisjoint(value) else members
    if not isinstance(value, list):
        return value
    if form == JSON and any(isinstance(item, list) for item in value):
        return {_JSON: json.dumps(to_tagged_json(value), ensure_ascii=False)}
    items = [without_nested_arrays(item, form) for item in value]
    return [{_ARRAY: item} if isinstance(item, list) else item for item in items] if form == WRAP else items


def with_nested_arrays(value: Any) -> Any:
    """The value that `without_nested_arrays` was given.

    >>> with_nested_arrays([{"$array": [1, 2]}, {"$map": {"$array": 3}}])
    [[1, 2], {'$array': 3}]
    """
    if isinstance(value, list):
        return [with_nested_arrays(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        ((name, content),) = value.items()
        if name == _ARRAY:
            return with_nested_arrays(content)
        if name == _JSON:
            return from_tagged_json(json.loads(content))
        if name == _MAP:
            value = content
    return {name: with_nested_arrays(member) for name, member in value.items()}
