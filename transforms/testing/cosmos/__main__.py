"""Runs a scripted Cosmos DB account until it is interrupted: `python -m transforms.testing.cosmos --port=8081`.

It prints the account's endpoint on a line of its own; any key is accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transforms.testing.cosmos.script import parse_script
from transforms.testing.cosmos.server import CosmosServer
from transforms.testing.own_process import UNTIL_STDIN_ENDS


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m transforms.testing.cosmos", description=(__doc__ or "").partition(":")[0], allow_abbrev=False
    )
    parser.add_argument("--port", type=int, default=0, help="of the loopback interface; default: a free one")
    parser.add_argument("--script", type=Path, metavar="FILE", help="JSON, as docs/testing.md says")
    parser.add_argument(UNTIL_STDIN_ENDS, action="store_true", help="end when standard input has something, or ends")
    flags = parser.parse_args()
    script: Mapping[str, Any] = {}
    try:
        if flags.script:
            script = json.loads(flags.script.read_text(encoding="utf-8"))
        parse_script(script)
    except (OSError, ValueError, TypeError) as error:
        parser.error(f"--script: {error}")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(flags.port, script, flags.until_stdin_ends))


async def _serve(port: int, script: Mapping[str, Any], is_until_stdin_ends: bool) -> None:
    server, ended, loop = CosmosServer(), asyncio.Event(), asyncio.get_running_loop()
    server.script(script)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    if is_until_stdin_ends:
        loop.add_reader(sys.stdin, ended.set)
    endpoint = await server.start(port)
    sys.stdout.write(f"{endpoint}\n")
    sys.stdout.flush()
    try:
        await ended.wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    main()
