"""A real Azure Blob server in a process of its own: npm's azurite, installed once into the user's cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.emulators import EmulatorMissingError
from pipeline.emulators.machine import cache_directory
from pipeline.emulators.processes import LOOPBACK, Server, serve

PACKAGE = "azurite@3.35.0"  # the newest that Node 20 runs
_MAIN = "node_modules/azurite/dist/src/blob/main.js"

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
    node, main = shutil.which("node"), _installed()
    if node is None:
        raise EmulatorMissingError("azurite needs Node 20 or newer: apt-get install nodejs npm")
    server = Server(
        "azurite",
        1,
        lambda ports, folder: [
            *(node, str(main), "--blobHost", LOOPBACK, "--blobPort", str(ports[0]), "--location", str(folder / "data")),
            *("--silent", "--skipApiVersionCheck", "--disableTelemetry"),
        ],
        lambda ports: f"http://{LOOPBACK}:{ports[0]}/{ACCOUNT}",
        {"PATH": os.environ["PATH"]},
    )
    with serve(server) as (port,):
        yield connection_string(port)


def _installed() -> Path:
    folder = cache_directory(os.environ) / "firebeam" / PACKAGE.replace("@", "-")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".azurite.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it when the file is closed, however that comes about
        if not (folder / _MAIN).exists():
            _install(folder)
    return folder / _MAIN


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise EmulatorMissingError(f"azurite is not installed: apt-get install nodejs npm, which installs {PACKAGE}")
    building = Path(tempfile.mkdtemp(prefix=".azurite-", dir=folder.parent))
    try:
        command = [npm, "install", "--prefix", str(building), "--no-audit", "--no-fund", "--silent", PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=building)
        if done.returncode != 0:
            raise EmulatorMissingError(f"npm install {PACKAGE} failed: {done.stderr.strip()[-500:]}")
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
