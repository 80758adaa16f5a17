"""How records are written: the flags of jobs that make documents, and rows beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.run.flags import option

# A spec that workers can read: the name of a shipped one, or a file that is not of the launching computer.
SPEC_IN_CLOUD = r"[A-Za-z0-9_-]+|gs://.+"


@dataclass(frozen=True, kw_only=True)
class WritingFlags:
    """The flags of writing to Firestore."""

    max_in_flight: int = option(
        3, group="Firestore", minimum=1, maximum=64, help="maximum Commits in flight per worker"
    )
    max_writes_per_s: float | None = option(
        None,
        group="Firestore",
        minimum=0,
        help="maximum writes per second of the whole job, 0 for no limit; default: Firestore's ramp-up, 500 and 50 % "
        "more every five minutes, and no limit on the emulator",
    )


def table_option(what: str) -> Any:
    """The flag of a table that gets rows beside the documents; None for none.

    Args:
      what: the table is for, as the help says it.
    """
    return option(
        None,
        group="BigQuery",
        metavar="PROJECT:DATASET.TABLE",
        help=f"{what}; default: none",
        parameter="BIGQUERY_TABLE",
        pattern=r"[a-z0-9.:-]+[:.]\w+\.[\w-]+",
    )
