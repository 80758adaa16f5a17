"""Records into documents and rows: the part of a graph that ingest and replay share.

    Batch[Record] ──compare_records──▶ Batch[Compared] ──write_records──▶ Batch[Written], load jobs
                    IdentifyRecords                      FlattenRecords
                    CompareVersions                      UpsertPairs, InsertRows

A replay sets records aside between the two. They are functions and not transforms, because a transform would put its
own label before those of its steps, and a job on Dataflow is updated by the labels it began with.
"""

from apache_beam.pvalue import PCollection

from transforms.batch import Batch, Record
from transforms.bigquery.write import WriteRows, WrittenRows
from transforms.upsert.destination import Destination
from transforms.upsert.entries import Compared, Written
from transforms.upsert.rows import STEP
from transforms.upsert.steps import CompareVersions, FlattenRecords, IdentifyRecords, UpsertPairs
from transforms.upsert.versions import RunIdentity


def compare_records(
    batches: PCollection[Batch[Record]], to: Destination, run: RunIdentity
) -> PCollection[Batch[Compared]]:
    """Who are these records, and what is stored about them? See the steps."""
    return (
        batches
        | "IdentifyRecords" >> IdentifyRecords(to.spec, to.form)
        | "CompareVersions" >> CompareVersions(to.layout, run, to.retry)
    )


def write_records(compared: PCollection[Batch[Compared]], to: Destination, run: RunIdentity) -> WrittenRows:
    """Documents, then rows. See the steps."""
    written: PCollection[Batch[Written]] = (
        compared
        | "FlattenRecords" >> FlattenRecords(to.spec, to.form)
        | "UpsertPairs" >> UpsertPairs(to.layout, run, to.limits, to.retry, to.max_writes_per_s, to.source)
    )
    return written | STEP >> WriteRows(to.rows, step="Insert") if to.rows else WrittenRows(written)
