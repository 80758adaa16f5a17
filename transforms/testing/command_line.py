"""The command line of a scripted server: `python -m transforms.testing.…`, which runs until it is interrupted.

It prints the server's address on a line of its own. `own_process.py` runs such a command for a test.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from transforms.testing.own_process import UNTIL_STDIN_ENDS


class Server(Protocol):
    """A scripted server."""

    def script(self, script: Mapping[str, Any]) -> None:
        """Follows this script from now on."""

    async def start(self, port: int) -> str:
        """Begins to answer; returns its address."""

    async def stop(self) -> None:
        """Ends all connections."""


def parser_of(module: str, about: str) -> argparse.ArgumentParser:
    """The flags that every server has.

    Args:
      about: its module's docstring, of which the part before the first colon is shown.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=about.partition(":")[0], allow_abbrev=False
    )
    parser.add_argument("--port", type=int, default=0, help="of the loopback interface; default: a free one")
    parser.add_argument("--script", type=Path, metavar="FILE", help="JSON, as docs/testing.md says")
    parser.add_argument(UNTIL_STDIN_ENDS, action="store_true", help="end when standard input has something, or ends")
    return parser


def serve(
    parser: argparse.ArgumentParser,
    server_of: Callable[[argparse.Namespace], Server],
    parse_script: Callable[[Mapping[str, Any]], object],
) -> None:
    """Runs the server that the command line asks for.

    Args:
      server_of: makes it of the flags.
      parse_script: raises ValueError or TypeError about a script that is wrong.
    """
    flags = parser.parse_args()
    script: Mapping[str, Any] = {}
    try:
        if flags.script:
            script = json.loads(flags.script.read_text(encoding="utf-8"))
        parse_script(script)
    except (OSError, ValueError, TypeError) as error:
        parser.error(f"--script: {error}")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(flags, server_of, script))


async def _serve(
    flags: argparse.Namespace, server_of: Callable[[argparse.Namespace], Server], script: Mapping[str, Any]
) -> None:
    server, ended, loop = server_of(flags), asyncio.Event(), asyncio.get_running_loop()
    server.script(script)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    if flags.until_stdin_ends:
        loop.add_reader(sys.stdin, ended.set)
    address = await server.start(flags.port)
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    try:
        await ended.wait()
    finally:
        await server.stop()
