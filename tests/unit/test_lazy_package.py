"""A package is executed when something of it is wanted, and not before; nobody notices the difference."""

import importlib
import subprocess
import sys

import pytest

from transforms.lazy_package import make_lazy

INIT = """
from lazy.outer.inner import leaf
from lazy.outer.inner.leaf import LEAF
EXECUTED = [*globals().get("EXECUTED", []), LEAF]
"""


@pytest.fixture
def inner(tmp_path, monkeypatch):
    folder = tmp_path / "lazy" / "outer" / "inner"
    folder.mkdir(parents=True)
    for parent in (folder.parent, folder.parent.parent):
        (parent / "__init__.py").touch()
    (folder / "__init__.py").write_text(INIT)
    (folder / "leaf.py").write_text("LEAF = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "lazy.outer.inner"
    for name in [name for name in sys.modules if name == "lazy" or name.startswith("lazy.")]:
        del sys.modules[name]


def test_a_module_is_imported_without_its_package(inner):
    make_lazy(inner)
    assert importlib.import_module(f"{inner}.leaf").LEAF == 1
    assert "EXECUTED" not in vars(sys.modules[inner])


def test_the_package_is_executed_once_when_it_is_asked_for_something(inner):
    make_lazy(inner)
    package = importlib.import_module(inner)
    assert package.EXECUTED == [1]
    assert package.leaf.LEAF == 1
    with pytest.raises(AttributeError, match=r"no attribute .nothing."):
        _ = package.nothing
    assert package.EXECUTED == [1]


def test_a_package_that_was_imported_stays_as_it_is(inner):
    package = importlib.import_module(inner)
    make_lazy(inner)
    assert sys.modules[inner] is package
    assert package.EXECUTED == [1]


def test_a_package_that_does_not_exist_is_missing_as_ever(inner):
    make_lazy("lazy.outer.none")
    with pytest.raises(ModuleNotFoundError, match=r"No module named"):
        importlib.import_module("lazy.outer.none")


def test_the_client_of_firestore_can_be_used_beside_the_connector():
    program = """
from transforms.firestore.messages import Value
import sys
assert "requests" not in sys.modules and "google.api_core" not in sys.modules
from google.cloud import firestore
from google.cloud.firestore_v1 import AsyncClient, types
assert types.Value.pb(types.Value()).__class__ is Value
print(firestore.Client.__name__, AsyncClient.__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Client AsyncClient\n", "")
