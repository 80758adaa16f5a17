"""`python -m benchmarks.startup`: what the command line costs before a job begins, beside the import of Beam.

    command                                  CPU s   of Beam's import
    import apache_beam                        0.76               1.00
    firebeam ingest --help                    0.06               0.08
    import apache_beam, and one request       0.80               1.00
    firebeam ingest, until its first Commit   0.97               1.20

CPU time of the process from its start to its end, without those it starts, as doctor starts Java to ask its version;
the least of several runs. Commands that ask a database ask a scripted one.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline import COMMANDS, JOBS
from pipeline.present.tables import Column, Table
from pipeline.present.terminal import show, standard_output
from transforms.testing import PROJECT, ScriptedFirestore

_RUNS = 3
_BEAM = "import apache_beam"
_FIREBEAM = """
import sys
from pipeline.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
"""
_COST = """
import sys, time
sys.stderr.write(f"\\n{time.process_time()}")
"""
_BEAM_AND_REQUEST = f"{_BEAM}, and one request"
_REQUEST = f"""
{_BEAM}
from transforms.firestore.target import FirestoreTarget
from transforms.services import Services
target = FirestoreTarget.of(Services.of(), {PROJECT!r})
list(target.connect().batch_get([target.document_name("a/b")], (), 10))
"""
_FIRST_COMMIT = """
import sys
from benchmarks.commit_times import FIRST_CPU_S, watch_commits
from pipeline.__main__ import main
watch_commits()
main(sys.argv[1:])
sys.stderr.write(f"\\n{FIRST_CPU_S[0]}")
"""
# Until it would listen; the address is none of this computer's, so that it ends there.
SERVE = ["serve", f"--project={PROJECT}", "--host=192.0.2.1", "--token=none"]
_NOTHING: Mapping[str, str] = {}
COMMAND_LINES: Sequence[Sequence[str]] = [
    [],
    *([name, "--help"] for name in (*JOBS, *COMMANDS)),
    ["nonsense"],
    ["ingest", "--input=a", "--batchsize=5"],
    ["indexes"],
    ["schema"],
    ["templates"],
    ["preview", "--input=samples/profiles.jsonl"],
    ["status", f"--project={PROJECT}"],
    ["doctor", f"--project={PROJECT}"],
    SERVE,
]


class Cost(NamedTuple):
    """What one command cost.

    Attributes:
      cpu_s: CPU seconds, its own and the system's.
      share: of what it costs to import Beam.
    """

    command: str
    cpu_s: float
    share: float


def measured(command_lines: Sequence[Sequence[str]] = COMMAND_LINES, runs: int = _RUNS) -> Iterator[Cost]:
    """The cost of each command, that of Beam's import first."""
    beam_s = min(_cpu_s(_BEAM) for _ in range(runs))
    yield Cost(_BEAM, beam_s, 1.0)
    with ScriptedFirestore() as server:
        environ = {"FIRESTORE_EMULATOR_HOST": server.target.emulator_host or ""}
        for arguments in command_lines:
            cpu_s = min(_cpu_s(_FIREBEAM, arguments, environ) for _ in range(runs))
            yield Cost(" ".join(["firebeam", *arguments]), cpu_s, cpu_s / beam_s)


def until_first_commit(runs: int = _RUNS) -> Iterator[Cost]:
    """What ingest of one record costs until it is acknowledged; first, what Beam's import and a request cost."""
    with ScriptedFirestore() as server, tempfile.TemporaryDirectory() as folder:
        environ = {"FIRESTORE_EMULATOR_HOST": server.target.emulator_host or ""}
        source = Path(folder, "in.jsonl")
        source.write_text('{"candidate_id": "c1", "name": "Ada"}\n')
        job = ["ingest", f"--input={source}", f"--project={PROJECT}", f"--dead_letters={folder}/dead_letters"]
        job.append("--upsert=overwrite")  # or the second run has nothing to commit
        beam_s = min(_cpu_s(_REQUEST, (), environ) for _ in range(runs))
        yield Cost(_BEAM_AND_REQUEST, beam_s, 1.0)
        cpu_s = min(
            _cpu_s(_FIRST_COMMIT, [*job, f"--job_id=n{n}", "--upsert=overwrite"], environ, "") for n in range(runs)
        )
        yield Cost("firebeam ingest, until its first Commit", cpu_s, cpu_s / beam_s)


def as_table(costs: Iterator[Cost]) -> Table:
    """For people."""
    rows = tuple((cost.command, f"{cost.cpu_s:.2f}", f"{cost.share:.2f}") for cost in costs)
    columns = (Column("command"), Column("CPU s", is_number=True), Column("of Beam's import", is_number=True))
    return Table("the command line before a job begins", columns, (rows,))


def _cpu_s(code: str, arguments: Sequence[str] = (), environ: Mapping[str, str] = _NOTHING, cost: str = _COST) -> float:
    done = subprocess.run(
        [sys.executable, "-c", code + cost, *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stderr.splitlines()[-1])


if __name__ == "__main__":
    show(standard_output(), as_table(itertools.chain(measured(), until_first_commit())))
