"""firebeam preview: shows what a spec makes of the first records of files and tables, before any job runs.

    the first records ─▶ which path gave each value, what was changed or left out, and the two documents
    the first 1,000   ─▶ in how many each field had a value; for fields that never had one, paths that look alike

Needs no cloud, no emulator and, for local files, no Beam.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.commands.indexes import SpecConfig
from pipeline.jobs.reading_flags import ReadingFlags
from pipeline.locations import split_inputs, table_source
from pipeline.present.preview import counted, document, explained, never_filled
from pipeline.present.terminal import Console, say, show, standard_output
from pipeline.run.flags import Usage, option, parse_only
from pipeline.specs import read_spec
from transforms.batch import Batch, DeadLetter, Record
from transforms.errors import UsageError
from transforms.inputs.files import match_inputs
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import plan_slices, read_slice
from transforms.inputs.table_records import TableInput, records_now
from transforms.records.explain import Explanation, explain
from transforms.records.spec import FieldTally, RecordSpec
from transforms.secrets import parse_secret
from transforms.unexpected import FAILURES, Unexpected
from transforms.upsert.records import key_of, value_for

_COUNTED = 1_000  # records
_SAMPLES = 100  # records whose paths are known


@dataclass(frozen=True, kw_only=True)
class Config(SpecConfig, ReadingFlags):
    """The flags of preview."""

    input: tuple[str, ...] = option(
        group="Input",
        metavar="PATTERN",
        help="files to read: local, gs://, s3:// or azfs://, globs; or a table of a database, as in ingest; repeat it "
        "or separate with commas",
    )
    input_password: str | None = option(
        None, group="Input", metavar="WHERE", help="where the password of a table of a database is kept, as in ingest"
    )
    records: int = option(
        3, group="Records", minimum=0, maximum=_COUNTED, help="how many records to show; more are counted"
    )


USAGE = Usage(
    "preview",
    Config,
    about="""\
Shows what a record spec makes of the first records: which path gave each value, what cleaners changed or could not
place, the two documents, and how often each field had a value. Writes nothing; needs no cloud and no emulator.""",
    example="  firebeam preview --spec=./people.yaml --input=people.jsonl --records=1",
)


@dataclass
class _Preview:
    """What is known of the records read so far."""

    spec: RecordSpec
    tally: FieldTally = field(default_factory=FieldTally)
    samples: list[Mapping[str, Any]] = field(default_factory=list)
    unfit: dict[str, int] = field(default_factory=dict)

    def take(self, record: Record | DeadLetter, spec: RecordSpec, console: Console | None) -> None:
        """Counts what a record has; shows it in full, if there is somewhere to."""
        if isinstance(record, DeadLetter):
            self._count_unfit(record.code)
            if console is not None:
                say(console, f"dead letter: {record.code}: {record.message}", "red")
            return
        explanations: list[Explanation] = []
        key, flat, problem = None, {}, ""
        value = value_for(record, spec)
        try:
            explanations = explain(spec, value)
            key = key_of(record, spec)
            flat = spec.flatten(value, key)
        except FAILURES as failure:
            error = Unexpected("flattening the record", 1).as_record_error(failure)
            problem = str(error)
            self._count_unfit(error.code)
        self.tally.records += 1
        self.tally.with_value += flat or [each.field.name for each in explanations if each.value is not None]
        self.tally.uncleaned += [each.field.name for each in explanations if each.is_uncleaned]
        if len(self.samples) < _SAMPLES:
            self.samples.append(record.value)
        if console is not None:
            where = f"line {record.line}" if record.line is not None else f"position {record.position}"
            show(console, explained(f"{where}: {problem or key}", explanations, flat, spec))
        if console is not None and not problem:
            for collection, value in zip(spec.collections, (record.value, flat), strict=False):
                say(console, f"{collection}/{key}", "bold")
                say(console, document(value))

    def _count_unfit(self, code: str) -> None:
        self.unfit[code] = self.unfit.get(code, 0) + 1

    def summarise(self, console: Console) -> None:
        """What holds for all records."""
        report = self.spec.report(self.tally, self.samples)
        show(console, counted(report))
        for code, number in self.unfit.items():
            say(console, f"dead letters: {code} {number:,}", "yellow")
        if table := never_filled(report):
            show(console, table)


def main(arguments: Sequence[str], console: Console) -> int:
    """Prints to standard output; reads no more than the first 1,000 records."""
    config = parse_only(USAGE, arguments)
    if any(pattern.startswith("firestore://") for pattern in config.input):
        raise UsageError("preview reads files; export some documents first, or run ingest with --spec on a few")
    preview, output = _Preview(replace(read_spec(config.spec), escapes_ids=config.escapes_ids)), standard_output()
    reading = config.reading(batch_size=100)
    found = 0
    for batch in _batches(config.input, config.input_password, reading):
        spec = preview.spec.in_units(preview.spec.units_of(value_for(record, preview.spec) for record in batch.entries))
        every: list[Record | DeadLetter] = [*batch.entries, *batch.dead_letters]
        for record in sorted(every, key=lambda each: each.position or 0)[: _COUNTED - found]:
            found += 1
            preview.take(record, spec, output if found <= config.records else None)
        if found >= _COUNTED:
            break
    if not found:
        raise UsageError(f"--input {', '.join(config.input)} holds no records")
    preview.summarise(output)
    return 0


def _batches(locations: Sequence[str], password: str | None, reading: ReadOptions) -> Iterator[Batch[Record]]:
    tables = split_inputs(locations).tables
    if password and not tables:
        raise UsageError("--input_password is for tables of databases, and --input names none")
    if patterns := [location for location in locations if location not in tables]:
        for file in match_inputs(patterns):
            for piece in plan_slices(file, reading):
                yield from read_slice(piece, reading)
    for location in tables:
        where = parse_secret(password, "--input_password") if password else None
        database = table_source("--input", location, where, 0.0)
        yield from records_now(TableInput(database, database.describe("--input")), reading)
