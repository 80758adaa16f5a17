"""The files that a page needs: our own in `static/`, those of others, as they publish them, in `vendored/`.

`vendored/README.md` says which library each of these is, its version, licence and SHA-256.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_FOLDERS = (Path(__file__).with_name("static"), Path(__file__).with_name("vendored"))
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

# Of the one style element that Observable Plot puts into a drawing of the class `plot`.
PLOT_STYLE_HASH = "sha256-+TfQir1nvDucAdvE6XUQBt4ayUjpAWkbw2kCdSfekHM="


class Asset(NamedTuple):
    """A file that the server gives out."""

    content_type: str
    body: bytes


def asset(name: str) -> Asset | None:
    """A file by its name; None if it is not one that pages need."""
    file = _files().get(name)
    return Asset(_TYPES[file.suffix], _read(name)) if file and file.suffix in _TYPES else None


def asset_text(name: str) -> str:
    """A file's text."""
    return _read(name).decode()


@functools.cache
def asset_url(name: str) -> str:
    """Where the server has a file; another address for another content, so that a browser may keep it."""
    return f"/static/{name}?v={hashlib.sha256(_read(name)).hexdigest()[:12]}"


@functools.cache
def _read(name: str) -> bytes:
    return _files()[name].read_bytes()


@functools.cache
def _files() -> Mapping[str, Path]:
    return {file.name: file for folder in _FOLDERS for file in folder.iterdir()}
