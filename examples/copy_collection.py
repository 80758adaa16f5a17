"""Copies a collection to another one, as of one moment; what does not land is counted and fails the pipeline.

    python examples/copy_collection.py --project=my-project --source=users --destination=users_backup

Everything else goes to Beam: --runner=DataflowRunner, --temp_location=gs://…, and so on. With FIRESTORE_EMULATOR_HOST
set it copies within the emulator.
"""

import argparse
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from transforms import Document, FailedWrite, ReadFromFirestore, Set, WriteToFirestore


def copy_of(document: Document, destination: str) -> Set:
    """The same fields under the same id."""
    return Set(f"{destination}/{document.id}", document.fields)


def refuse(failed: FailedWrite) -> None:
    """Ends the pipeline: a backup that lacks a document is none."""
    raise RuntimeError(f"{failed.path} could not be copied: {failed.code}: {failed.message}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--source", default="users")
    parser.add_argument("--destination", default="users_backup")
    flags, beam_arguments = parser.parse_known_args(arguments)
    with beam.Pipeline(options=PipelineOptions(beam_arguments)) as pipeline:
        documents = pipeline | ReadFromFirestore(flags.source)
        copies = documents | "Copy" >> beam.Map(copy_of, flags.destination)
        result = copies | WriteToFirestore()
        _ = result.dead_letters | "Refuse" >> beam.Map(refuse)


if __name__ == "__main__":
    main()
