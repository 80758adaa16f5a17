"""Where the records of ingest come from: files, collections, tables, batches at a provider, or several of them.

--input=results/*.jsonl --input=firestore://users    --input=batches://openai, alone
         │                        │                        │
         ▼                        ▼                        ▼
    ReadBatches           ReadDocumentBatches      ReadProviderBatches      ─▶ Batch[Record]

A table of a database is read by ReadTableRecords, see `ingest_tables.py`.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from pipeline.jobs.ingest_batches import ProviderSource
from pipeline.jobs.ingest_tables import TableInputs
from pipeline.locations import split_inputs
from pipeline.run.job import digest
from transforms.batch import Batch, Record
from transforms.firestore.pieces import QueryPiece
from transforms.firestore.query import Query
from transforms.firestore.ranges import NameRange
from transforms.firestore.target import FirestoreTarget
from transforms.inputs.documents import input_id, read_batches, source_of
from transforms.inputs.files import InputFile, match_inputs, total_bytes
from transforms.inputs.options import ReadOptions
from transforms.inputs.packs import packed, read_pack
from transforms.inputs.read import ReadBatches, ReadDocumentBatches
from transforms.inputs.slices import plan_slices, read_slice
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.runs import Opening
from transforms.runtime.stopping import PassedOver


@dataclass(frozen=True)
class Sources:
    """All input of a run.

    Attributes:
      files: what the patterns of `--input` matched.
      reading: how files are read, and how large a batch is.
      queries: of the collections that `--input` names.
      target: the database these collections are in.
      tables: of databases.
      provider: the batches at a provider; None if `--input` names none.
    """

    files: tuple[InputFile, ...]
    reading: ReadOptions
    queries: tuple[Query, ...]
    target: FirestoreTarget
    tables: TableInputs | None = None
    provider: ProviderSource | None = None

    @classmethod
    def find(
        cls,
        patterns: Sequence[str],
        reading: ReadOptions,
        target: FirestoreTarget,
        provider: ProviderSource | None = None,
        tables: TableInputs | None = None,
    ) -> "Sources":
        """What `--input` names, beside the batches of a provider. Raises UsageError about what is not there."""
        paths, collections, _, _ = split_inputs(patterns)
        files = tuple(match_inputs(paths)) if paths or not (collections or provider or tables) else ()
        queries = tuple(Query(path) for path in sorted(set(collections)))
        return cls(files, reading, queries, target, tables, provider)

    @property
    def fingerprint(self) -> str:
        """The same for the same input, read in the same way.

        Digested are the options of reading, path and fingerprint of every file, and the path of every collection.
        """
        files = sorted((file.path, file.fingerprint) for file in self.files)
        others = [query.collection for query in self.queries]
        if self.provider:
            others += self.provider.keys
        if self.tables:
            others.append(digest([table.fingerprint for table in self.tables.tables]))
        return digest(self.reading.identity, files, *others)

    @property
    def bytes_total(self) -> int | None:
        """Bytes of all input; None where nobody knows."""
        return None if self.queries or self.provider or self.tables else total_bytes(self.files)

    @property
    def file_ids(self) -> frozenset[str]:
        """With what the ids of the batches of files begin, and those of batches at a provider."""
        of_provider = self.provider.input_ids if self.provider else frozenset()
        return frozenset(file.fingerprint for file in self.files) | of_provider

    def ids(self, read_time: datetime.datetime) -> frozenset[str]:
        """With what the ids of all batches of a run begin, given its read time."""
        of_queries = (input_id(self.target, query, read_time) for query in self.queries)
        of_tables = self.tables.ids(_run(read_time)) if self.tables else []
        return self.file_ids.union(of_queries, of_tables)

    @property
    def read_anew(self) -> frozenset[str]:
        """As the batches of collections and tables, whose ids are others in every run, name their source."""
        return frozenset(map(source_of, self.queries)).union(self.tables.labels if self.tables else ())

    def batches(self) -> Iterator[Batch[Record]]:
        """All records of files, collections and tables, read here and now, without a pipeline."""
        for pack in packed(self.files, self.reading.batch_size):
            if len(pack.files) > 1:
                yield from read_pack(pack, self.reading)
            else:
                for part in plan_slices(pack.files[0], self.reading):
                    yield from read_slice(part, self.reading)
        if self.tables:
            yield from self.tables.batches()
        client = self.target.connect()
        for query in self.queries:
            piece = QueryPiece(query, NameRange(), None)
            yield from read_batches(client, piece, self.reading.batch_size, self.reading.max_batch_bytes)

    def read(
        self,
        pipeline: beam.Pipeline,
        read_time: datetime.datetime,
        opening: Opening,
        entry: LedgerEntry,
        *,
        keeps_completed: bool,
    ) -> PCollection[Batch[Record]]:
        """Draws the reading part of a graph: collections at the read time, and all but the completed batches."""
        completed = opening.completed
        batches: list[PCollection[Batch[Record]]] = []
        if self.files:
            batches.append(pipeline | "ReadBatches" >> ReadBatches(self.files, self.reading, completed))
        for query in self.queries:
            batches.append(
                pipeline
                | f"ReadDocuments[{query.collection}]"
                >> ReadDocumentBatches(
                    self.target,
                    query,
                    read_time,
                    batch_size=self.reading.batch_size,
                    is_complete=PassedOver(completed),
                )
            )
        if self.tables:
            run, kept = _run(read_time), opening.kept
            batches += self.tables.read(pipeline, run, kept, entry, keeps_completed=keeps_completed)
        if self.provider:
            batches.append(self.provider.read(pipeline, entry, completed))
        if len(batches) == 1:
            return batches[0]
        every: PCollection[Batch[Record]] = batches | "AllBatches" >> beam.Flatten()
        return every


def _run(read_time: datetime.datetime) -> str:
    """What tells the batches of a table from those of other runs."""
    return read_time.astimezone(datetime.timezone.utc).isoformat()
