"""A real Azure Blob server in a process of its own: npm's azurite, installed once into the user's cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from pipeline.emulators.processes import LOOPBACK, Server, serve
from tests.support.npm import node_program

PACKAGE = "azurite@3.35.0"  # the newest that Node 20 runs
_MAIN = "azurite/dist/src/blob/main.js"

# Everybody's, for servers that hold nothing: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def connection_string(port: int, key: str = _KEY) -> str:
    """Of the account on this port."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
        f"BlobEndpoint=http://{LOOPBACK}:{port}/{ACCOUNT};"
    )


@contextlib.contextmanager
def running_azurite() -> Iterator[str]:
    """A server; gives its connection string.

    Raises:
      EmulatorMissingError: there is no Node, or the package cannot be installed.
    """
    program = node_program(PACKAGE, _MAIN)
    server = Server(
        "azurite",
        1,
        lambda ports, folder: [
            *(*program, "--blobHost", LOOPBACK, "--blobPort", str(ports[0]), "--location", str(folder / "data")),
            *("--silent", "--skipApiVersionCheck", "--disableTelemetry"),
        ],
        lambda ports: f"http://{LOOPBACK}:{ports[0]}/{ACCOUNT}",
        {"PATH": os.environ["PATH"]},
    )
    with serve(server) as (port,):
        yield connection_string(port)
