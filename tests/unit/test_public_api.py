"""The public API on one page: every name on it exists, and what type checkers see is what is there."""

import ast
import importlib
from pathlib import Path

import pytest

import transforms

PAGE = ast.parse(Path(transforms.__file__).read_text())
DECLARED = {
    (node.module, alias.asname)
    for node in ast.walk(PAGE)
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("transforms.")
    for alias in node.names
}


@pytest.mark.parametrize(("module", "name"), sorted(DECLARED))
def test_every_declared_name_can_be_imported_from_the_page(module, name):
    assert getattr(transforms, name) is getattr(importlib.import_module(module), name)


def test_nothing_is_importable_that_is_not_declared():
    offered = {name for name in dir(transforms) if name not in vars(transforms)}
    assert offered == {name for _, name in DECLARED}


def test_an_unknown_name_is_an_ordinary_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'WriteToMongo'"):
        transforms.WriteToMongo  # noqa: B018
