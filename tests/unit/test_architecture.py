"""The rules about which module may import what, and about what a module may look like.

plain Python  ◀──  Beam transforms  ◀──  jobs          (transforms/, transforms/, pipeline/)
"""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_LINES = 400

# In transforms/ only files of these names may import Beam, and all of runtime/. Everything else is plain Python.
BEAM_FILES = ("read", "write", "delete", "steps", "tracker", "load", "listen")
# Imports Beam only when it meets the first URL; whoever uses it on local files stays free of Beam.
IMPORTS_BEAM_LATE = "transforms.files"

# The rooms of transforms/ and the modules beside them, lowest first: each imports only from lines above its own.
LAYERS = """
errors
batch breaker counters json_values lazy_package retry unexpected
objects
files outcomes services
channels secrets
runtime
firestore
bigquery cosmos pubsub
records models sql
inputs
dead_letters
ledger
providers
upsert export
migrate
analysis verify listen dual
follow
testing
"""
LEVELS = {room: level for level, rooms in enumerate(LAYERS.split("\n")) for room in rooms.split()}

# Imports the modules named on its command line; any attempt to reach the network is an error.
IMPORTS_OFFLINE = """
import importlib, os, sys
def forbid_network(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        os.write(2, f"{module}: {event}\\n".encode())
        os._exit(1)
sys.addaudithook(forbid_network)
for module in sys.argv[1:]:
    importlib.import_module(module)
"""


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_name(file): file for ring in ("transforms", "pipeline") for file in sorted((ROOT / ring).rglob("*.py"))}
TRANSFORMS = [module for module in FILES if module.partition(".")[0] == "transforms"]


def imported(source: str) -> Iterator[str]:
    """Every module that `source` imports, wherever in the text; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def belongs_to(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def may_import_beam(module: str) -> bool:
    return module.rpartition(".")[2] in BEAM_FILES or belongs_to(module, "transforms.runtime")


@functools.cache
def imports_beam(source: str) -> bool:
    """Whether it imports Beam, or a module that may and does."""
    modules = set(imported(source))
    beamy = (module for module in modules & FILES.keys() if may_import_beam(module))
    return any(belongs_to(module, "apache_beam") for module in modules) or any(
        imports_beam(read(each)) for each in beamy
    )


def level(module: str) -> int:
    return LEVELS[module.split(".")[1]]


def defines_beam_class(source: str) -> bool:
    classes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))
    bases = (ast.unparse(base) for node in classes for base in node.bases)
    return any(base.partition("[")[0].endswith(("DoFn", "PTransform")) for base in bases)


def read(module: str) -> str:
    return FILES[module].read_text(encoding="utf-8")


@pytest.mark.parametrize("module", TRANSFORMS)
def test_transforms_never_import_the_jobs(module: str) -> None:
    assert [name for name in imported(read(module)) if belongs_to(name, "pipeline")] == []


@pytest.mark.parametrize("module", [module for module in TRANSFORMS if not may_import_beam(module)])
def test_a_plain_module_imports_neither_beam_nor_a_module_that_does(module: str) -> None:
    late = module in ("transforms", IMPORTS_BEAM_LATE)
    assert late or not imports_beam(read(module)), f"{module} imports Beam: move that part into {', '.join(BEAM_FILES)}"


@pytest.mark.parametrize("module", [module for module in TRANSFORMS if module != "transforms"])
def test_a_room_imports_only_from_rooms_below_it(module: str) -> None:
    ours = {each for each in imported(read(module)) if belongs_to(each, "transforms") and each.count(".")}
    others = {each for each in ours if not belongs_to(each, ".".join(module.split(".")[:2]))}
    assert {each for each in others if level(each) >= level(module)} == set()


def test_a_module_with_a_dofn_keeps_its_annotations_alive() -> None:
    """Else Beam's type checks see only strings."""
    late = [module for module in FILES if "__future__.annotations" in imported(read(module))]
    assert [module for module in late if defines_beam_class(read(module))] == []


@pytest.mark.parametrize("file", sorted((ROOT / "tests").rglob("*.py")) + list(FILES.values()), ids=module_name)
def test_a_file_is_one_idea(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_importing_any_module_reaches_no_network() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS_OFFLINE, *FILES], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "source",
    [
        "import apache_beam as beam",
        "def late():\n    from apache_beam import io",
        "from transforms.upsert import steps",
    ],
)
def test_every_way_to_import_beam_is_seen(source: str) -> None:
    assert imports_beam(source)


@pytest.mark.parametrize("base", ["beam.DoFn", "PTransform", "beam.PTransform[In, Out]"])
def test_every_way_to_define_a_beam_class_is_seen(base: str) -> None:
    assert defines_beam_class(f"class _WriteFn({base}):\n    pass")
