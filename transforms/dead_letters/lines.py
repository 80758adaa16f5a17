"""The line of a dead-letter file: a JSON object that tells what failed and why, and holds the record. Plain Python.

    DeadLetter ──fields_of──▶ line ──read_line──▶ StoredDeadLetter ──records_of─▶ Record, as the input gave it
                                                                        └───────▶ RecordError, as its reader raised it

A line has job, job_id, batch_id, time, step, record_id, source, line, position, code, message, attempts, and the
original record in the first of three forms that is exact:

| the line keeps | of                                       | it is read again as                             |
|----------------|------------------------------------------|-------------------------------------------------|
| record_text    | a line of JSON Lines, an array's element | JSON; model batch results are unwrapped         |
|                | a row of CSV that was not a record       | a CSV of its own: header and row                |
| record_base64  | the same, in bytes that are not text     | the same                                        |
| record         | a value without text of its own, as from | the value, which is kept as tagged JSON         |
|                | CSV, Parquet, a JSON array, Firestore    | and of a document the id: `document_id`         |
|                | one of several records of an answer      | the value, and what `answer` says about it      |

A model's answer may hold several records. The dead letter of one of them keeps that record alone, with its place in the
answer, so that a replay neither writes the others again nor loses them. A line that failed as a whole is one dead
letter, and failed again if any of the records that it turns out to hold fails.

Of a record that was too large or cut off by damage only the beginning is kept, and of a row of Parquet whose values or
columns could not be read, only what can be shown of it. Neither is read again at all. Nor is one with a value that none
of these forms says exactly, which no reader of ours gives: its line has `record: null`, and `record_lost` says so. What
is not kept is stored by ingesting its source again.

A line that was replayed also has `replay`, with job_id, run (when it began) and time, and, if it failed again,
`first_time`, when it failed first.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from transforms.batch import DeadLetter, ModelAnswer, Record
from transforms.dead_letters.originals import FORMS, kept, original_of
from transforms.errors import RecordError
from transforms.inputs.formats.csv_dialect import DELIMITERS, sniff_delimiter
from transforms.inputs.formats.csv_rows import CsvRows
from transforms.inputs.items import STEP, Item
from transforms.inputs.options import DEFAULT, ReadOptions
from transforms.inputs.streams import PlainStream
from transforms.json_values import parse_object
from transforms.models.results import unwrapped
from transforms.unexpected import FAILURES

Fields = Mapping[str, Any]

# With these codes a line keeps a part of a record, or shows what has no exact form: not to be taken for the record.
_FRAGMENTS = frozenset(
    (STEP, code) for code in ("RECORD_TOO_LARGE", "UNREADABLE_FILE", "UNREADABLE_VALUE", "INVALID_COLUMNS")
)
# The step that keeps the request to a provider where an answer should be: see providers/taking.py.
_REQUEST_STEP = "TakeBatches"
# The step of earlier versions that learned of a refused row after the batch was completed, and kept what the row held.
_LATE_STEP = "LoadRows"
# What the source of documents begins with: see `source_of` in inputs/documents.py.
_COLLECTION = "firestore://"


class Origin(NamedTuple):
    """What the dead letters of a batch have in common.

    Attributes:
      job: name of the job, such as `ingest`.
      job_id: of its run.
      batch_id: of the batch.
      time: when the batch was given up, as ISO 8601.
      source: where its records were read.
    """

    job: str
    job_id: str
    batch_id: str
    time: str
    source: str


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter, read back.

    Attributes:
      fields: the line as it stands.
      original: what it keeps of the record; None if there was nothing to keep.
      failed_at: when the record failed first, which is about when it was read from its source.
    """

    fields: Fields
    original: bytes | Mapping[str, Any] | None
    failed_at: datetime.datetime

    @property
    def job(self) -> str:
        """Name of the job that gave the record up, such as `ingest`."""
        return str(self.fields["job"])

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
    def part(self) -> int:
        """Which of several records of an answer it is; 0 for the only one."""
        return int(self.fields.get("answer", {}).get("part", 0))

    @property
    def last_failed_at(self) -> datetime.datetime:
        """When it failed last."""
        return _time(self.fields, "time")

    @property
    def attempts(self) -> int:
        """How often the record was tried."""
        return int(self.fields["attempts"])

    @property
    def keeps_record(self) -> bool:
        """Whether there is a record to be replayed, whatever becomes of it."""
        step = self.fields["step"]
        return self.original is not None and step != _REQUEST_STEP and (step, self.fields["code"]) not in _FRAGMENTS

    @property
    def last_run(self) -> str | None:
        """The run that replayed it last."""
        return self.fields.get("replay", {}).get("run")

    @property
    def key(self) -> str:
        """The same for the same record of the same place, whatever has happened to it since."""
        names = ("source", "position", "answer", *FORMS)
        kept = {name: self.fields[name] for name in names if name in self.fields}
        return hashlib.blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=16).hexdigest()


class Replay(NamedTuple):
    """What a line says about the run that replayed it last.

    Attributes:
      job_id: of the replay.
      run: tells it from all other runs of the job: when it began.
      time: when the dead letter was replayed.
    """

    job_id: str
    run: str
    time: str


def fields_of(dead_letter: DeadLetter, origin: Origin) -> dict[str, Any]:
    """The line of a record that was given up.

    >>> origin = Origin("ingest", "ingest-1", "b-0", "2026-01-01T00:00:00Z", "in.jsonl")
    >>> fields_of(DeadLetter("ReadBatches", "INVALID_JSON", "why", b"{"), origin)["record_text"]
    '{'
    """
    return {
        "job": origin.job,
        "job_id": origin.job_id,
        "batch_id": origin.batch_id,
        "time": origin.time,
        "step": dead_letter.step,
        "record_id": dead_letter.record_id,
        "source": origin.source,
        "line": dead_letter.line,
        "position": dead_letter.position,
        "code": dead_letter.code,
        "message": dead_letter.message,
        "attempts": dead_letter.attempts,
        **kept(dead_letter.original, origin.source),
        **_about(dead_letter),
    }


def landed(stored: StoredDeadLetter, replay: Replay) -> dict[str, Any]:
    """The line of a dead letter whose record was stored after all."""
    return {**stored.fields, "replay": replay._asdict()}


def failed_again(stored: StoredDeadLetter, failure: DeadLetter, replay: Replay) -> dict[str, Any]:
    """The line of a dead letter whose record was not: what it was, why it failed now, and one attempt more.

    A run that has already counted its attempt does not count it twice.
    """
    return {
        **stored.fields,
        "step": failure.step,
        "record_id": failure.record_id or stored.fields.get("record_id"),
        "code": failure.code,
        "message": failure.message,
        "attempts": stored.attempts + (0 if stored.last_run == replay.run else 1),
        "first_time": stored.fields.get("first_time", stored.fields["time"]),
        "time": replay.time,
        "replay": replay._asdict(),
    }


def content_of(lines: Iterable[Fields]) -> bytes:
    """The content of a file of these lines."""
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def read_line(line: bytes) -> StoredDeadLetter:
    """The dead letter of one line.

    Raises:
      RecordError: what the line lacks to be one.

    >>> read_line(b'{"job": "ingest"}')
    Traceback (most recent call last):
    transforms.errors.RecordError: NO_DEAD_LETTER: job_id must be text, is missing
    """
    fields = parse_object(line)
    for name in ("job", "job_id", "batch_id", "source", "step", "code", "message", "time"):
        _check(fields, name, str, "text")
    for name in ("position", "attempts"):
        _check(fields, name, int, "a whole number")
    if "document_id" in fields:
        _check(fields, "document_id", str, "text")
    if "answer" in fields:
        _check(fields, "answer", dict, "an object")
        _check(fields["answer"], "part", int, "a whole number")
    forms = [name for name in FORMS if name in fields]
    if len(forms) != 1:
        raise RecordError("NO_DEAD_LETTER", f"it must have one of {', '.join(FORMS)}, has {len(forms)} of them")
    time = "first_time" if "first_time" in fields else "time"
    return StoredDeadLetter(fields, original_of(fields, forms[0]), _time(fields, time))


def records_of(stored: StoredDeadLetter, reading: ReadOptions = DEFAULT) -> tuple[Record, ...]:
    """The record, read like the input it came from; several, where it is a model's answer that has several.

    Args:
      reading: how that is read.

    Raises:
      RecordError: it still is not a record.
    """
    fields, original = stored.fields, stored.original
    line = fields.get("line")
    if original is None or not stored.keeps_record:
        raise RecordError(fields["code"], fields["message"])
    if not isinstance(original, bytes):
        known_id, answer = _answer(fields["answer"]) if "answer" in fields else (_known_id(stored), None)
        place = (stored.position, original, line)
        return (Record(*place, fallback_id=known_id, answer=answer, failed_at=stored.failed_at),)
    if _is_csv(original):
        row = _csv_row(stored, original, reading)
        return (Record(stored.position, row, line, failed_at=stored.failed_at),)
    value = parse_object(original)
    return unwrapped(Record(stored.position, value, line, original, failed_at=stored.failed_at), reading.answers)


def count_records(stored: StoredDeadLetter, reading: ReadOptions = DEFAULT) -> int:
    """How many records a dead letter holds; 1 for what still is not a record."""
    try:
        return len(records_of(stored, reading))
    except FAILURES:
        return 1


def still_dead(stored: StoredDeadLetter, error: RecordError) -> DeadLetter:
    """The dead letter of what `records_of` refuses."""
    same = (error.code, error.message) == (stored.fields["code"], stored.fields["message"])
    step = stored.fields["step"] if same else STEP
    known_id, answer = _answer(stored.fields["answer"]) if stored.part else (None, None)
    place = (None, stored.position, stored.fields.get("line"))
    return DeadLetter(step, error.code, error.message, stored.original, *place, fallback_id=known_id, answer=answer)


def _about(dead_letter: DeadLetter) -> dict[str, Any]:
    """What the original does not say: of a document its id, of one of several records of an answer its place."""
    answer = dead_letter.answer
    if answer is None:
        return {} if dead_letter.fallback_id is None else {"document_id": dead_letter.fallback_id}
    known = {"id": dead_letter.fallback_id, "part": answer.part, "repairs": list(answer.repairs)}
    return {"answer": {**known, "source_fields": dict(answer.source_fields)}}


def _known_id(stored: StoredDeadLetter) -> str | None:
    """The id that a record came with which may hold none itself."""
    fields = stored.fields
    if "document_id" in fields:
        return str(fields["document_id"])
    # Earlier versions did not keep it. A record whose row was refused late, and a document, was mostly stored under it;
    # a percent sign may come of escaping it, which must not be done twice.
    record_id = fields.get("record_id")
    is_of_document = stored.source.startswith(_COLLECTION) and "%" not in (record_id or "")
    return record_id if fields["step"] == _LATE_STEP or is_of_document else None


def _answer(about: Fields) -> tuple[str | None, ModelAnswer]:
    """The id that came with the record, and what else `_about` has kept."""
    repairs, source_fields = tuple(map(str, about.get("repairs", ()))), dict(about.get("source_fields", {}))
    return about.get("id"), ModelAnswer(about["part"], repairs=repairs, source_fields=source_fields)


def _check(fields: Fields, name: str, kind: type, described: str) -> None:
    value = fields.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        found = "another value" if name in fields else "missing"
        raise RecordError("NO_DEAD_LETTER", f"{name} must be {described}, is {found}")


def _time(fields: Fields, name: str) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(str(fields[name]).removesuffix("Z"))
    except ValueError as error:
        raise RecordError("NO_DEAD_LETTER", f"{name} must be like 2026-01-01T00:00:00.000000Z") from error
    return time.replace(tzinfo=time.tzinfo or datetime.timezone.utc)


def _is_csv(original: bytes) -> bool:
    """Whether it is a header and a row. JSON that takes several lines begins with a bracket.

    >>> _is_csv(b"id,name\\n1,Ada,x\\n"), _is_csv(b'{"id":\\n1}'), _is_csv(b"nonsense")
    (True, False, False)
    """
    return b"\n" in original and original.lstrip()[:1] not in (b"{", b"[")


def _csv_row(stored: StoredDeadLetter, original: bytes, reading: ReadOptions) -> Mapping[str, Any]:
    text = original.decode("utf-8", "replace")
    header = text.partition("\n")[0]
    delimiter = sniff_delimiter(text) or max(DELIMITERS, key=header.count)
    reader = CsvRows(PlainStream(io.BytesIO(original), stored.source), delimiter, len(original) + 1, reading.columns)
    rows = list(reader.scan())
    if not rows:  # a header that was at fault itself, and still is alone
        raise RecordError(stored.fields["code"], stored.fields["message"])
    if isinstance(rows[0], DeadLetter):
        raise RecordError(rows[0].code, rows[0].message)
    if len(rows) > 1:
        raise RecordError("INVALID_CSV", f"the dead letter has {len(rows)} rows below its header instead of one")
    item: Item = rows[0]
    (record,) = reader.records(item._replace(position=stored.position, line=stored.fields.get("line")))
    return record.value
