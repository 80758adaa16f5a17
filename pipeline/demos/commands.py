"""How demos show commands: as a user would type them, before what they say."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pipeline import COMMANDS, JOBS
from pipeline.present.terminal import Console, say
from pipeline.run.launch import launch


def announce(name: str, arguments: Sequence[str], console: Console) -> None:
    """Shows a command that is about to run."""
    say(console)
    say(console, shlex.join(["firebeam", name, *arguments]), "bold")


def run_command(name: str, arguments: Sequence[str], console: Console) -> int:
    """Runs a job or another command in this process; returns its exit code."""
    announce(name, arguments, console)
    return launch(JOBS[name], arguments, console) if name in JOBS else COMMANDS[name].main(arguments, console)
