"""What records become and where they go: all that stands behind the input of a job. Pickled with its steps."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.bigquery.row_writer import RowsPlan
from transforms.bigquery.tables import ensure_latest_view, ensure_table
from transforms.firestore.packing import RequestLimits
from transforms.records.spec import RecordSpec
from transforms.records.table import latest_rows, table_columns, table_options
from transforms.retry import Retry
from transforms.upsert.doubts import AsksSource
from transforms.upsert.entries import Written
from transforms.upsert.forms import AS_IT_CAME, RecordForm
from transforms.upsert.layout import Layout


@dataclass(frozen=True)
class Destination:
    """What records become and where they go.

    Attributes:
      spec: makes the flat form.
      layout: database, collections and mode.
      limits: of one Commit, and how many refusals alike stop the job.
      rows: how rows are made and sent; None if there are none.
      retry: of every request.
      max_writes_per_s: of the whole job; default: Firestore's ramp-up.
      form: what of a record is its content.
      source: is asked about records in doubt, where the source's own versions decide.
      shows_deletes: whether rows say as well that a document is gone; see `records/table.py`.
    """

    spec: RecordSpec
    layout: Layout
    limits: RequestLimits
    rows: RowsPlan[Written] | None
    retry: Retry
    max_writes_per_s: float | None = None
    form: RecordForm = AS_IT_CAME
    source: AsksSource | None = None
    shows_deletes: bool = False


def provide_table(to: Destination) -> None:
    """Creates the table of a destination and its view, or adds the columns they lack.

    Raises:
      JobError: the table does not fit the spec, or may not be changed.
    """
    if to.rows is None:
        return
    columns = table_columns(to.spec, shows_deletes=to.shows_deletes)
    for table in to.rows.tables:
        ensure_table(table.target, columns, table_options(to.spec, columns))
        view = latest_rows(table.target, to.spec.key.name, shows_deletes=to.shows_deletes)
        ensure_latest_view(table.target, view)
