"""What `firebeam replay` can be asked for: its flags."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.jobs import ingest_flags
from pipeline.run.flags import Usage, option
from pipeline.run.job_config import RecordsConfig
from transforms.dead_letters.kinds import KINDS

NAME = "replay"

ALL = "all"


def _flag_of_the_job(name: str) -> Any:
    """A flag of ingest; default: what the job ran with."""
    (declared,) = (declared for declared in fields(ingest_flags.Config) if declared.name == name)
    return field(default=None, metadata=declared.metadata)


@dataclass(frozen=True, kw_only=True)
class Config(RecordsConfig):
    """The flags of replay."""

    kind: str = option(ALL, group="Replay", choices=(*KINDS, ALL), help="which dead letters to replay")
    from_job: tuple[str, ...] = option(
        (), group="Replay", metavar="JOB_ID", help="only dead letters of these jobs; default: of all"
    )
    max_attempts: int = option(
        5,
        group="Replay",
        minimum=1,
        maximum=1_000,
        help="a record that has failed this many times, the first one included, is given up and moved to DIR/parked",
    )
    spec: str | None = _flag_of_the_job("spec")
    drop_columns: tuple[str, ...] | None = _flag_of_the_job("drop_columns")
    rename_columns: tuple[str, ...] | None = _flag_of_the_job("rename_columns")
    repair: str | None = _flag_of_the_job("repair")
    key: str | None = _flag_of_the_job("key")
    types: str | None = _flag_of_the_job("types")
    nested_arrays: str | None = _flag_of_the_job("nested_arrays")
    ids: str | None = _flag_of_the_job("ids")
    upsert: str | None = _flag_of_the_job("upsert")
    keep_versions: int | None = _flag_of_the_job("keep_versions")
    max_request_bytes: int | None = _flag_of_the_job("max_request_bytes")
    max_in_flight: int | None = _flag_of_the_job("max_in_flight")
    bigquery_table: str | None = _flag_of_the_job("bigquery_table")


USAGE = Usage(
    NAME,
    Config,
    about="""\
Puts dead letters through the job they came from. A record that is now written moves to DIR/replayed. One that fails
again stays where it is, with its new reason, and moves to DIR/parked after --max_attempts. The job runs with the flags
it had; flags given here, such as a corrected --spec, replace them.""",
    example="""\
  firebeam replay --dead_letters=gs://my-bucket/dead_letters --kind=permanent --spec=corrected.yaml \\
      --project=my-project --database='(default)'""",
)
