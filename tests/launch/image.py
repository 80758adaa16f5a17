"""What the image holds, as a virtual environment: built by the Dockerfile's own steps, from the files that it copies.

templates/Dockerfile ─▶ COPY   a folder with these files and no others
                     ─▶ RUN    its pip steps, by uv, into .venv-launch of the image's version of Python
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.emulators.machine import find_uv
from tests.support.dockerfile import DOCKERFILE, ROOT, Instruction, instructions
from tests.support.launchable import without_emulators

ENVIRONMENT = ROOT / ".venv-launch"
_BUILT = ENVIRONMENT / ".built"
_BASE = re.compile(r"apache/beam_python(\d+\.\d+)_sdk:")
# What only pip knows, or would make the steps slow for nothing.
_NOT_OF_UV = frozenset({"--no-cache-dir"})


class BuildError(Exception):
    """What the image holds cannot be installed here; the text says which step failed, and how."""


def build() -> Path:
    """The Python of the environment, built when it is not there yet or its requirements have changed.

    The package itself is installed anew every time.

    Raises:
      BuildError: a step of the Dockerfile failed.
    """
    uv = find_uv(os.environ)
    if uv is None:
        raise BuildError("uv is not installed; `make launch-check` installs it into .venv")
    python = ENVIRONMENT / "bin" / "python"
    steps = [step for step in instructions() if step.word in ("COPY", "RUN") and step.stage == "worker"]
    fingerprint = hashlib.sha256((ROOT / "templates" / "requirements.txt").read_bytes()).hexdigest()
    with TemporaryDirectory() as directory:
        context = Path(directory)
        if not _BUILT.exists() or _BUILT.read_text() != fingerprint:
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            _run([str(uv), "venv", "--quiet", f"--python={_version()}", str(ENVIRONMENT)], context)
            _follow(steps, context, uv, python, only_the_package=False)
            _BUILT.write_text(fingerprint)
        else:
            _follow(steps, context, uv, python, only_the_package=True)
    return python


def _version() -> str:
    found = _BASE.search(DOCKERFILE.read_text())
    if not found:
        raise BuildError(f"{DOCKERFILE} is not built on an image of Beam's SDK")
    return found[1]


def _follow(steps: Sequence[Instruction], context: Path, uv: Path, python: Path, *, only_the_package: bool) -> None:
    for step in steps:
        if step.word == "COPY":
            _copy(step, context)
        for command in step.pip_commands() if step.word == "RUN" else ():
            if not (only_the_package and "--requirement" in command):
                _run(_by_uv(command, uv, python), context)


def _copy(step: Instruction, context: Path) -> None:
    for source in step.sources:
        target = context / (Path(source).name if step.destination.startswith(".") else step.destination)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, target)


def _by_uv(command: Sequence[str], uv: Path, python: Path) -> list[str]:
    """The same step for another environment than the running one.

    >>> _by_uv(["pip", "install", "--no-cache-dir", "--no-deps", "."], Path("uv"), Path("python"))
    ['uv', 'pip', 'install', '--quiet', '--python=python', '--no-deps', '.', '--compile-bytecode', '--reinstall']
    """
    _, action, *rest = command
    kept = [word for word in rest if word not in _NOT_OF_UV]
    more = ["--compile-bytecode"] if action == "install" else []  # as pip does
    again = ["--reinstall"] if "." in rest else []
    return [str(uv), "pip", action, "--quiet", f"--python={python}", *kept, *more, *again]


def _run(command: Sequence[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, env=without_emulators(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
