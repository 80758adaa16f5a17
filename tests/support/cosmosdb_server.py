"""npm's @vercel/cosmosdb-server: somebody else's idea of Cosmos DB, to judge the scripted account by.

It has one physical partition, no change feed and no batches, and says 500 for an item that is not there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from pipeline.emulators.processes import LOOPBACK, Server, serve
from tests.support.npm import node_program

PACKAGE = "@vercel/cosmosdb-server@1.0.1"
_MAIN = "@vercel/cosmosdb-server/lib/cli.js"


@contextlib.contextmanager
def running_cosmosdb_server() -> Iterator[str]:
    """A server; gives the endpoint. Raises EmulatorMissingError as `node_program`."""
    program = node_program(PACKAGE, _MAIN)
    server = Server(
        "cosmosdb-server",
        1,
        lambda ports, folder: [*program, "--host", LOOPBACK, "--port", str(ports[0]), "--no-ssl"],
        lambda ports: f"http://{LOOPBACK}:{ports[0]}/",
        {"PATH": os.environ["PATH"]},
    )
    with serve(server) as (port,):
        yield f"http://{LOOPBACK}:{port}/"
