r"""Files, local and remote, by one set of functions.

    local paths         Python's own: Beam is not imported, and brackets in a folder's name are nothing but a name
    s3://, azfs://      `objects/`, which reads and does not write
    other URLs          Beam's FileSystems, imported when the first URL is met

A pattern's `*` stands for any part of one name, `**` for any part of a path, `?` for a character, `[ab]` and `[!ab]`
for one of several, as in Beam. What fails raises OSError, of which Beam's BeamIOError is one. An object store raises
JobError, which says what to fix, or TransientError.

    >>> is_local("data/*.jsonl"), is_local("gs://bucket/*.jsonl")
    (True, False)
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from transforms.objects.reader import open_object
from transforms.objects.store import FileStat, is_object, store_of

if TYPE_CHECKING:
    from apache_beam.io.filesystems import FileSystems

GCS = "gs://"  # Cloud Storage: what workers of Dataflow and load jobs can reach

_URL = re.compile(r"\s*[A-Za-z][-A-Za-z0-9+.]*://")
_TOKENS = re.compile(r"\*\*|[*?]|\[!?\]?[^\]]*\]|\[|[^*?\[]+")
_WILD = re.compile(r"[*?\[]")
_SHOWN_CHARACTERS = 200
_NO_FILE_SYSTEM = "Unable to get filesystem"  # Beam's words for a scheme that none of its file systems has


def is_local(path: str) -> bool:
    """Whether a path names a file of this computer rather than a URL."""
    return _URL.match(path) is None


def join(folder: str, *names: str) -> str:
    """The path of a file below a folder."""
    if is_local(folder):
        return os.path.join(folder, *names)  # noqa: PTH118
    return posixpath.join(folder, *names) if is_object(folder) else str(_beam().join(folder, *names))


def open_file(path: str, known: FileStat | None = None) -> BinaryIO:
    """Opens a file as it is stored, seekable.

    Args:
      known: what was found there before. An object is read only as long as it is still that one; default: what is
        there now.

    Raises:
      OSError: it cannot be opened.
      ValueError: nobody knows the scheme.
    """
    if is_local(path):
        return open(path, "rb")  # noqa: PTH123  # there may be thousands, and a Path takes longer than the call
    if is_object(path):
        return open_object(store_of(path), known or stat(path))
    stored: BinaryIO = _beam().open(path, compression_type="uncompressed")
    return stored


def exists(path: str) -> bool:
    """Whether there is such a file. Raises OSError."""
    if is_object(path):
        return store_of(path).stat(path) is not None
    return Path(path).exists() if is_local(path) else bool(_beam().exists(path))


def stat(path: str) -> FileStat:
    """Size and time of a file. Raises OSError."""
    if is_local(path):
        found = os.stat(path)  # noqa: PTH116  # as in `open_file`
        return FileStat(path, found.st_size, found.st_mtime)
    if is_object(path):
        there = store_of(path).stat(path)
        if there is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return there
    metadata = _beam().get_filesystem(path).metadata(path)
    return FileStat(metadata.path, metadata.size_in_bytes, metadata.last_updated_in_seconds)


def match(pattern: str) -> list[FileStat]:
    """The files that a pattern means, in no particular order. Raises OSError, or ValueError as `open_file`."""
    if is_local(pattern):
        return list(_match_local(pattern))
    if is_object(pattern):
        return list(_match_objects(pattern))
    (result,) = _beam().match([pattern])
    return [FileStat(each.path, each.size_in_bytes, each.last_updated_in_seconds) for each in result.metadata_list]


def list_folder(folder: str, suffix: str) -> list[str]:
    """The files directly in a folder whose names end so, sorted; none, if there is no such folder. Raises OSError."""
    if is_local(folder):
        return sorted(str(path) for path in Path(folder).glob(f"*{suffix}") if path.is_file())
    return sorted(found.path for found in match(join(folder, f"*{suffix}")))


def delete(paths: Iterable[str]) -> None:
    """Removes files. Raises OSError."""
    remote = []
    for path in paths:
        if is_local(path):
            Path(path).unlink()
        elif is_object(path):
            raise _not_written(path)
        else:
            remote.append(path)
    if remote:
        _beam().delete(remote)


@contextmanager
def replaced_file(path: str, mime_type: str) -> Iterator[BinaryIO]:
    """Gives a file to write, which takes the place of `path` as a whole when the block ends well.

    A local one can be read by its owner only, from its first byte on: it may hold personal data.
    """
    if is_object(path):
        raise _not_written(path)
    if not is_local(path):
        with _beam().create(path, mime_type=mime_type) as remote:
            yield remote
        return
    parent = Path(path).parent
    parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=parent, prefix=".")  # mkstemp creates files with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as local:
            yield local
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def reason(error: Exception) -> str:
    """What went wrong, without Beam's dict of exceptions around it, and without the path."""
    details = getattr(error, "exception_details", None)
    if details:
        return str(next(iter(details.values())))
    if isinstance(error, ValueError) and str(error).startswith(_NO_FILE_SYSTEM):
        return "nothing here reads such addresses; files are local, or begin with gs://, s3:// or azfs://"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def shown(path: str) -> str:
    """A path as a message shows it: on one line, and not longer than people read.

    >>> shown("data/*.jsonl"), len(shown("a" * 5_000))
    ('data/*.jsonl', 200)
    """
    line = path if path.isprintable() else repr(path)
    half = _SHOWN_CHARACTERS // 2
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:half]}…{line[-half + 1 :]}"


def _beam() -> type[FileSystems]:
    from apache_beam.io.filesystems import FileSystems  # takes seconds, which local files need not wait for

    return FileSystems


def _match_local(pattern: str) -> Iterator[FileStat]:
    if not _WILD.search(pattern):
        if Path(pattern).exists():
            yield stat(pattern)
        return
    plain, wanted = _compiled(pattern)
    folder = os.path.dirname(plain)  # noqa: PTH120
    for parent, _, names in os.walk(folder or "."):
        for name in names:
            path = os.path.join(parent, name) if folder else os.path.relpath(os.path.join(parent, name))  # noqa: PTH118
            if wanted.fullmatch(path):
                try:
                    yield stat(path)
                except FileNotFoundError:
                    continue  # it has gone since, as files of temporary folders do


def _match_objects(pattern: str) -> Iterator[FileStat]:
    store = store_of(pattern)
    if not _WILD.search(pattern):
        if (found := store.stat(pattern)) is not None:
            yield found
        return
    plain, wanted = _compiled(pattern)
    for found in store.list(plain):
        if wanted.fullmatch(found.path):
            yield found


def _compiled(pattern: str) -> tuple[str, re.Pattern[str]]:
    """What all paths that a pattern with wildcards means begin with, and what tells them from others."""
    wanted = re.compile("".join(map(_translated, _TOKENS.findall(pattern))), re.DOTALL)
    return _WILD.split(pattern, maxsplit=1)[0], wanted


def _not_written(path: str) -> OSError:
    return OSError(f"{path.partition('://')[0]}:// is read, not written; name a local folder or gs://")


def _translated(token: str) -> str:
    """
    >>> [_translated(token) for token in ("**", "*", "?", "[!a-c]", "[", "a.b")]
    ['.*', '[^/]*', '.', '[^a-c]', '\\\\[', 'a\\\\.b']
    """
    if token in ("**", "*", "?"):
        return {"**": ".*", "*": "[^/]*", "?": "."}[token]
    if token.startswith("[") and len(token) > 1:
        inner = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]".replace("[^", r"[\^", 1)
    return re.escape(token)
