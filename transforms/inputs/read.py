"""Input files as batches of records.

    Create(files) ─▶ PlanSlices ─▶ Reshuffle ─▶ ReadSlices ─▶ PCollection[Batch[Record]]
                     head or footer  slices only   one slice, batch by batch

Only descriptions of slices are shuffled. A slice is read once, from beginning to end, and each batch goes on to the
next step before the following one is read, so first results show at once and memory does not grow with the input.

    batches = pipeline | ReadBatches(match_inputs(["results/*.jsonl"]))
"""

from collections.abc import Collection, Iterator, Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from transforms.batch import Batch, Record
from transforms.inputs.files import InputFile
from transforms.inputs.slices import MIB, ReadOptions, Slice, plan_slices, read_slice
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.garbage import tune_garbage_collector
from transforms.runtime.stopping import is_asked_to_stop

register_batches(Record)


class ReadBatches(beam.PTransform[PBegin, PCollection[Batch[Record]]]):
    """Reads JSON Lines, JSON, CSV, Parquet and model batch results, each also in gzip (Parquet has its own).

    In: nothing. Out: `Batch[Record]`, named `{file fingerprint}-{slice}-{ordinal}`; records of a slice in order, slices
    in any. Delivery: every record of every file once, as a record or as a dead letter of its batch; run again, the
    same. Parallel: slices. Fails: a file that is gone, has changed or cannot be opened raises JobError; damage within
    a file is a dead letter, as is every record that cannot be parsed.

    Args:
      files: what `match_inputs` found.
      completed: ids of batches that need not be read again; their records are not even parsed.
      batch_size, max_batch_bytes, input_format, records_path, slice_bytes, max_record_bytes: as in `ReadOptions`.

    Raises:
      UsageError: an option is out of its bounds.
    """

    def __init__(
        self,
        files: Sequence[InputFile],
        *,
        completed: Collection[str] = frozenset(),
        batch_size: int = 500,
        max_batch_bytes: int = 16 * MIB,
        input_format: str = "auto",
        records_path: str | None = None,
        slice_bytes: int = 16 * MIB,
        max_record_bytes: int = 16 * MIB,
    ):
        super().__init__()
        self._files, self._completed = tuple(files), frozenset(completed)
        self._options = ReadOptions(
            batch_size, max_batch_bytes, input_format, records_path, slice_bytes, max_record_bytes
        )

    def expand(self, begin: PBegin) -> PCollection[Batch[Record]]:
        """Wires the steps of the diagram above."""
        files = begin | "Files" >> beam.Create(self._files, reshuffle=False)
        slices = files | "PlanSlices" >> beam.ParDo(_PlanSlicesFn(self._options))
        spread = slices | "Reshuffle" >> beam.Reshuffle()
        batches: PCollection[Batch[Record]] = spread | "ReadSlices" >> beam.ParDo(
            _ReadSlicesFn(self._options, self._completed)
        )
        return batches


class _PlanSlicesFn(beam.DoFn):
    def __init__(self, options: ReadOptions):
        self._options = options

    def process(self, file: InputFile) -> Iterator[Slice]:
        yield from plan_slices(file, self._options)


class _ReadSlicesFn(beam.DoFn):
    def __init__(self, options: ReadOptions, completed: frozenset[str]):
        self._options, self._completed = options, completed

    def setup(self) -> None:
        tune_garbage_collector()

    def process(self, piece: Slice) -> Iterator[Batch[Record]]:
        if not is_asked_to_stop():  # before the file is opened
            yield from read_slice(piece, self._options, self._completed.__contains__, is_asked_to_stop)
