"""Writes the users of a CSV file to Firestore and keeps those that did not land in a file of their own.

    python examples/write_users.py --project=my-project --input=users.csv --failed=failed.jsonl

The file's first line names the fields; the hash of the `email` is the document's id, so that running it twice changes
nothing. Everything else goes to Beam: --runner=DataflowRunner, --temp_location=gs://…, and so on. With
FIRESTORE_EMULATOR_HOST set it writes to the emulator.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from transforms import FailedWrite, Set, WriteToFirestore


def rows(path: str) -> Iterator[dict[str, Any]]:
    """The lines of a CSV file."""
    with FileSystems.open(path) as file:
        yield from csv.DictReader(line.decode() for line in file)


def as_line(failed: FailedWrite) -> str:
    """One JSON object: what failed, why, and the fields to repair."""
    assert isinstance(failed.write, Set), "this pipeline writes nothing else"
    return json.dumps({"code": failed.code, "message": failed.message, "fields": dict(failed.write.fields)})


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--input", required=True)
    parser.add_argument("--failed", required=True)
    flags, beam_arguments = parser.parse_known_args(arguments)
    with beam.Pipeline(options=PipelineOptions(beam_arguments)) as pipeline:
        users = pipeline | "Files" >> beam.Create([flags.input]) | "Rows" >> beam.FlatMap(rows)
        writes = users | "AsWrites" >> beam.Map(lambda user: Set("users", {k: v for k, v in user.items() if v}))
        result = writes | "Write" >> WriteToFirestore(id_from=("email",), on_duplicate="last")
        lines = result.dead_letters | "AsLines" >> beam.Map(as_line)
        _ = lines | "Keep" >> beam.io.WriteToText(flags.failed, shard_name_template="")


if __name__ == "__main__":
    main()
