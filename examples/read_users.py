"""Reads a collection in parallel and writes, for each value of a field, how many documents have it.

    python examples/read_users.py --project=my-project --collection=users --field=city --output=cities

Everything else goes to Beam: --runner=DataflowRunner, --temp_location=gs://…, and so on. With FIRESTORE_EMULATOR_HOST
set it reads the emulator.
"""

import argparse
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from transforms import Query, ReadFromFirestore


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--collection", default="users")
    parser.add_argument("--field", default="city")
    parser.add_argument("--output", required=True)
    flags, beam_arguments = parser.parse_known_args(arguments)
    with beam.Pipeline(options=PipelineOptions(beam_arguments)) as pipeline:
        documents = pipeline | ReadFromFirestore(Query(flags.collection).select(flags.field))
        values = documents | "Value" >> beam.Map(lambda document, field: str(document.fields.get(field)), flags.field)
        counts = values | "Count" >> beam.combiners.Count.PerElement()
        lines = counts | "Line" >> beam.MapTuple(lambda value, n: f"{value}\t{n}")
        _ = lines | "Write" >> beam.io.WriteToText(flags.output, shard_name_template="", append_trailing_newlines=True)


if __name__ == "__main__":
    main()
