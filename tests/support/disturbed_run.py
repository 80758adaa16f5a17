"""One ingest of records of every fate, over a Firestore that fails as scheduled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.faulty_firestore import FaultyFirestore, Incoming, Refuse, Schedule, never
from tests.support.ingest import Ingested, ingest, profile
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.target import FirestoreTarget

REFUSED_ID = "cand-00077"

# Five batches, of more than one Commit each.
FLAGS = ("--batch_size=25", "--max_request_bytes=65536", "--max_dead_letter_ratio=1")


def lines(*records: object) -> str:
    """JSON Lines; a text is a line of its own."""
    return "".join(record if isinstance(record, str) else json.dumps(record) + "\n" for record in records)


def write_inputs(folder: Path) -> tuple[Path, Path]:
    """What is stored before, and what is ingested then.

    Of the second, 20 records are unchanged (but two of them of torn pairs), 20 changed and 60 new; three more have an
    id that came before; one is not JSON, one has a bad id, one is refused by the service.
    """
    before, records = folder / "before.jsonl", folder / "records.jsonl"
    before.write_text(lines(*(_profile(n) for n in range(40))))
    changed = {n: _profile(n, name=f"changed {n}") for n in range(20, 40)}
    later = [_profile(5, name="in the meantime"), _profile(5, name="at last"), _profile(90, name="at last")]
    records.write_text(
        lines(
            *(changed.get(n) or _profile(n) for n in range(50)),
            "{not JSON\n",
            _profile(0, candidate_id="a/b"),
            *(_profile(n) for n in range(50, 100)),
            *later,
        )
    )
    return before, records


def _profile(n: int, **more: object) -> dict[str, object]:
    return profile(n, **{"history": "x" * 4_000, **more})


def refuse_one(request: Incoming) -> RpcError | None:
    """The service takes every record but one."""
    if request.rpc == "Commit" and f"/enriched_profiles/{REFUSED_ID}".encode() in request.body:
        return RpcError("INVALID_ARGUMENT", "the value of field x is wrong")
    return None


@contextmanager
def faulty(emulator: str, schedule: Schedule = never, refuse: Refuse | None = refuse_one) -> Iterator[FaultyFirestore]:
    """A server between the jobs of this process and the emulator."""
    with FaultyFirestore(emulator, schedule, refuse) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        yield server


def prepare(emulator: str, project: str, before: Path, folder: Path) -> FirestoreTarget:
    """Stores what is there before, undisturbed, and tears two pairs. Returns the emulator's own target."""
    target = FirestoreTarget(project, emulator_host=emulator)
    with faulty(emulator, refuse=None):
        assert ingest(folder / "before", target, f"--input={before}").exit_code == 0
    torn = (messages.delete(target.document_name(f"candidates/cand-{n:05d}")) for n in (3, 4))
    Committer(target.connect()).commit([AtomicGroup((write,)) for write in torn])
    return target


def run_over(server: FaultyFirestore, target: FirestoreTarget, records: Path, folder: Path, *flags: str) -> Ingested:
    """Ingests through the server; the target is for reading back."""
    assert os.environ["FIRESTORE_EMULATOR_HOST"] == server.host
    return ingest(folder, target, f"--input={records}", *FLAGS, *flags)


def run_elsewhere(target: FirestoreTarget, records: Path, folder: Path, *flags: str) -> tuple[int, str]:
    """The same in a process of its own, which is gone afterwards. Returns its exit code and what it said."""
    names = (f"--project={target.project}", f"--dead_letters={folder / 'dead_letters'}", f"--input={records}")
    command = [sys.executable, "-m", "pipeline", "ingest", *names, *FLAGS, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stderr
