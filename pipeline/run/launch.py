"""From the arguments behind a job's name to its exit code. What needs no Beam comes before Beam is imported.

arguments ─parse─▶ Config ─start─▶ …          start.py
    └ --help, wrong usage ┘   └ Beam, which takes seconds to import
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence

from pipeline import JobEntry
from pipeline.present.terminal import Console
from pipeline.run.beam_flags import beam_flags
from pipeline.run.flags import from_environment, parse, refuse_unknown
from pipeline.run.repeat import repeated
from transforms.lazy_package import make_lazy

# Beam imports them with its connectors and runners, which takes a sixth of its time; most runs use none of them.
_CLIENTS_OF_BEAM = (
    "google.cloud.bigquery",
    "google.cloud.bigquery_storage_v1",
    "google.cloud.dataflow",
    "google.cloud.pubsub",
)
# Beam would import the clients of S3 and Azure with these, where they are installed; `transforms/objects` has its own.
_FILE_SYSTEMS_OF_BEAM = ("apache_beam.io.aws.s3filesystem", "apache_beam.io.azure.blobstoragefilesystem")


def launch(entry: JobEntry, arguments: Sequence[str], console: Console, environ: Mapping[str, str] = os.environ) -> int:
    """Runs a job from its flags and returns its exit code; prints what a user should see.

    Raises:
      UsageError: the job cannot be started as asked for; nothing was started.
      JobError: Dataflow did not take the job.
      SystemExit: `--help` was asked for and printed.
    """
    usage = entry.usage
    config, rest = parse(usage, from_environment(usage, arguments, environ) if entry.streaming else arguments)
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in beam_flags()]
    if unknown:
        refuse_unknown(usage, unknown, beam_flags())
    for client in _CLIENTS_OF_BEAM:
        make_lazy(client)
    for file_system in _FILE_SYSTEMS_OF_BEAM:
        sys.modules.setdefault(file_system, None)  # type: ignore[arg-type]  # as if it were not installed
    from pipeline.run.start import start  # imports Beam

    # The command that resumes this run must not start it over.
    command = shlex.join(["firebeam", usage.name, *arguments, *config.to_resume()])
    return repeated(lambda: start(entry.job, config, rest, command, console, environ), config.again_after_s, console)
