"""Builds the virtual environment that the BigQuery emulator runs in, once, and keeps it in the user's cache.

    ~/.cache/firebeam/bigquery-emulator-<hash of the requirements>/
      bin/python …          Python ≥ 3.13 with bigquery-requirements.txt, every version pinned
      duckdb-home/.duckdb   DuckDB's extensions, taken from wheels: DuckDB itself would download them when first used

An environment is there complete or not at all: it is built under another name and renamed, by one process at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.emulators import EmulatorMissingError
from pipeline.emulators.machine import cache_directory, find_python, find_uv

REQUIREMENTS = Path(__file__).with_name("bigquery-requirements.txt")
DUCKDB_HOME = "duckdb-home"

_EXTENSIONS = ("icu", "ducklake", "spatial", "httpfs", "avro")
_INSTALL_EXTENSIONS = (
    f"import duckdb_extensions\nfor name in {_EXTENSIONS}: duckdb_extensions.import_extension(name, force_install=True)"
)
_BUILDING = ".building-"
_OUTPUT_TAIL_LINES = 15


def bigquery_environment(environ: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """The directory of the BigQuery emulator's virtual environment, built when it is not there yet.

    Args:
      environ: the environment to look for tools and caches in.
      say: prints one line: that building takes a while.

    Raises:
      EmulatorMissingError: no Python is new enough, or the packages cannot be installed here.
    """
    cache = cache_directory(environ) / "firebeam"
    wanted = cache / f"bigquery-emulator-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]}"
    if _usable(wanted):
        return wanted
    python = find_python(environ)
    cache.mkdir(parents=True, exist_ok=True)
    with _only_builder(cache):
        if not _usable(wanted):
            say("Installing the BigQuery emulator, once; this takes up to a minute …")
            _build(python, wanted, environ)
    return wanted


def python_of(environment: Path) -> Path:
    """The Python of a virtual environment."""
    return environment / "bin" / "python"


def _usable(environment: Path) -> bool:
    # The link leads nowhere once the Python it was built with is gone.
    return python_of(environment).exists()


@contextlib.contextmanager
def _only_builder(cache: Path) -> Iterator[None]:
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it when the file is closed, however that comes about
        yield


def _build(python: Path, wanted: Path, environ: Mapping[str, str]) -> None:
    for leftover in wanted.parent.glob(_BUILDING + "*"):  # of a builder that was killed; we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.rmtree(wanted, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=wanted.parent))
    try:
        clean = {name: value for name, value in environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        for command in _install_commands(python, building, find_uv(environ)):
            _run(command, clean)
        (building / DUCKDB_HOME).mkdir()
        home = {**clean, "HOME": str(building / DUCKDB_HOME)}
        _run([str(python_of(building)), "-c", _INSTALL_EXTENSIONS], home)
        building.rename(wanted)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _install_commands(python: Path, target: Path, uv: Path | None) -> Iterator[list[str]]:
    # --no-deps: local-bigquery asks for a DuckDB whose extensions are not on PyPI; the pinned set works without.
    if uv is not None:
        yield [str(uv), "venv", "--quiet", "--allow-existing", "--no-project", "--python", str(python), str(target)]
        install = [str(uv), "pip", "install", "--quiet", "--python", str(python_of(target))]
    else:
        yield [str(python), "-m", "venv", str(target)]
        install = [str(python_of(target)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    yield [*install, "--no-deps", "--requirement", str(REQUIREMENTS)]


def _run(command: Sequence[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run(  # noqa: S603  # the commands above
        command,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        cwd=os.sep,  # no project's own settings for uv or pip
    )
    if done.returncode != 0:
        tail = "\n".join(
            "  " + line for line in done.stdout.decode(errors="replace").splitlines()[-_OUTPUT_TAIL_LINES:]
        )
        raise EmulatorMissingError(f"the BigQuery emulator cannot be installed here; {command[0]} says:\n{tail}")
