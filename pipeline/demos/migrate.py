"""firebeam demo migrate: 600 items of Cosmos DB move to Firestore and back, while an application writes both.

    stand-in of Cosmos DB ─▶ audit, copy ─▶ follow, a process ─▶ Firestore emulator
      ▲  600 items                            │                     ▲
      └──── DualStore of an application ──────┴─────────────────────┘   verify: equal
             one store fails for a while; every phase, and every phase back

Everything it starts it stops, also on Ctrl-C. It works on an emulator and a stand-in only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from pipeline.demos.emulators import PROJECT
from pipeline.emulators.start import firestore_emulator
from pipeline.present.terminal import Console, say
from pipeline.run.flags import Usage, option, parse_only
from pipeline.run.listening import signals_call


@dataclass(frozen=True)
class Config:
    """The flags of demo migrate."""

    items: int = option(600, group="Records", minimum=10, maximum=5_000, help="how many items the container has")


USAGE = Usage(
    "demo migrate",
    Config,
    about="""\
Starts the Firestore emulator and a stand-in of Cosmos DB, copies a container, writes both stores by DualStore while one
of them fails, goes through all phases of a migration and back, and compares both stores in the end.""",
    example="  firebeam demo migrate --items=100",
)


def main(arguments: Sequence[str], console: Console) -> int:
    """Runs the demo; returns the exit code of the last verify: 0 if both stores are equal.

    Raises:
      UsageError: a flag is wrong.
      EmulatorMissingError: the emulator cannot run here; the message says what to do.
      JobError: something does not do what it should.
    """
    config = parse_only(USAGE, arguments)
    with signals_call(_interrupt):
        from transforms.testing.cosmos import scripted_cosmos  # for which nobody waits who asks for help

        with console.status("starting the Firestore emulator …"), firestore_emulator() as host:
            pass_on = {"FIRESTORE_EMULATOR_HOST": host, "GOOGLE_CLOUD_PROJECT": PROJECT}
            with scripted_cosmos() as account:
                os.environ.update({**pass_on, **account.environ})
                say(console, f"Firestore emulator: {host}")
                say(console, f"Cosmos DB, a stand-in: {account.endpoint}")
                from pipeline.demos.migrating import run

                return run(account, config.items, console)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Leaves all that was begun, as a Ctrl-C does: SIGTERM alone would leave the processes running."""
    raise KeyboardInterrupt
