"""Input files: found before anything starts, opened the same way by every worker.

    patterns ──▶ match_inputs ──▶ InputFile(path, size, fingerprint) ──▶ open_input ──▶ bytes, decompressed
                 (launcher)                                              (worker)

`match_inputs` runs in the launcher, so a missing input is a usage error and no job is started. `open_input` makes sure
that a worker reads the very file that was matched: one that vanished, changed or cannot be opened stops the job rather
than going missing from it.

    files = match_inputs(["gs://bucket/results/*.jsonl", "more.csv.gz"])
"""

import hashlib
import os.path
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from transforms import files
from transforms.errors import JobError, UsageError
from transforms.files import is_local, shown
from transforms.inputs.streams import BLOCK_BYTES
from transforms.objects.store import FileStat, changed

# Twelve hex digits keep two of a million files apart with a probability of 0.998 (birthday bound over 48 bits); they
# stand at the head of every batch id, so they are short.
FINGERPRINT_DIGITS = 12

# Files whose readers count the bytes they unpack, not those that are stored.
_PACKED_SUFFIXES = (".gz", ".gzip", ".parquet", ".pq")

_IRREGULAR = (
    (stat.S_ISFIFO, "a pipe, which can be read only once"),
    (stat.S_ISCHR, "a device, which may have no end"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)

# About a second of hashing.
_MAX_HASHED_BYTES = 1024 * 1024 * 1024


class Hash(Protocol):
    """Something of hashlib that content is added to."""

    def update(self, data: bytes, /) -> None:
        """Adds content."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read.

    Attributes:
      path: local path or URL.
      size: bytes as stored (compressed, if it is).
      modified_s: when it was last changed, in seconds since the epoch.
      fingerprint: short hex digest over path and content, so that the same file copied there again is the same input.
        Of remote files, and of local ones above 1 GiB, size and time of change stand for the content; of objects of
        S3 and Azure size and etag.
      etag: of an object of S3 or Azure; empty for other files.
    """

    path: str
    size: int
    modified_s: float
    fingerprint: str
    etag: str = ""


def match_inputs(patterns: Sequence[str], flag: str = "--input") -> list[InputFile]:
    """Finds the files of `--input`: local, gs://, s3:// or azfs://, globs, several; each file once, sorted by path.

    Args:
      flag: names them, for messages.

    Raises:
      UsageError: a pattern matches nothing, is a directory, or cannot be listed, or a file has a name that cannot be
        kept; the message names it.
    """
    if not patterns:
        raise UsageError("no input: name at least one file or pattern with --input")
    found: dict[str, InputFile] = {}
    real_folders: dict[str, str] = {}
    try:
        for pattern in patterns:
            for file in _match(pattern):
                found.setdefault(_identity(file.path, real_folders), file)
    except UsageError as error:
        raise UsageError(str(error).replace("--input", flag, 1)) from error.__cause__
    return sorted(found.values(), key=lambda file: file.path)


def total_bytes(inputs: Iterable[InputFile]) -> int | None:
    """Bytes of all files together; None if batches of some of them are not counted in stored bytes.

    >>> total_bytes([InputFile("a.jsonl", 5, 0.0, ""), InputFile("b.csv", 7, 0.0, "")])
    12
    """
    sizes = [None if file.path.lower().endswith(_PACKED_SUFFIXES) else file.size for file in inputs]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def open_input(file: InputFile) -> BinaryIO:
    """Opens a matched file as it is stored, seekable, after checking that it is still the same file.

    An object of S3 or Azure is checked by each request that reads some of it.

    Raises:
      JobError: it is gone, has changed since the job started, or cannot be opened.
    """
    stored = _open(file.path, _known(file))
    try:
        check_unchanged(file)
    except JobError:
        stored.close()
        raise
    return stored


def read_input(file: InputFile) -> bytes:
    """All of a matched file, as it is stored; it is still the same file afterwards.

    Raises:
      JobError: as `open_input`, and when reading fails.
    """
    try:
        with _open(file.path, _known(file)) as stored:
            content = stored.read()
    except OSError as error:
        raise JobError(f"reading input {file.path} failed ({error}); run the same command again") from error
    check_unchanged(file)
    return content


def check_unchanged(file: InputFile) -> None:
    """Raises JobError if a file is not the one that was matched any more."""
    if file.etag:
        return  # nothing of another one can have been read
    try:
        same = files.stat(file.path) == FileStat(file.path, file.size, file.modified_s)
    except OSError:
        same = False
    if not same:
        raise JobError(changed(file.path))


def _known(file: InputFile) -> FileStat | None:
    return FileStat(file.path, file.size, file.modified_s, file.etag) if file.etag else None


def _open(path: str, known: FileStat | None = None) -> BinaryIO:
    try:
        return files.open_file(path, known)
    except (OSError, ValueError) as error:
        raise JobError(
            f"cannot open input {path}, which was there when the job started ({files.reason(error)}); "
            "put it back or make it readable, then run the same command again"
        ) from error


def line_numbers(path: str, positions: Iterable[int], limit_bytes: int = 256 * 1024 * 1024) -> dict[int, int]:
    """The lines, counted from 1, in which these bytes of an uncompressed file stand; reads the file once.

    Positions beyond `limit_bytes` are left out: counting up to them costs more than it is worth.

    Raises:
      JobError: the file cannot be opened any more.
    """
    lines: dict[int, int] = {}
    line, at = 1, 0
    with _open(path) as stored:
        for position in sorted(position for position in positions if position <= limit_bytes):
            while at < position and (block := stored.read(min(BLOCK_BYTES, position - at))):
                line += block.count(b"\n")
                at += len(block)
            lines[position] = line
    return lines


def _match(pattern: str) -> list[InputFile]:
    try:
        if is_local(pattern) and Path(pattern).is_dir():
            raise UsageError(_directory_message(pattern))
        found = _list(pattern)
        if not found and _list(pattern.rstrip("/") + "/*"):
            raise UsageError(_directory_message(pattern))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot list --input {shown(pattern)}: {files.reason(error)}") from error
    except JobError as error:  # of an object store, about bucket, credentials or client
        raise UsageError(f"--input: {error}") from error
    if not found:
        raise UsageError(f"--input {shown(pattern)} matches no file; check the path, and put globs in quotes")
    return found


def _list(pattern: str) -> list[InputFile]:
    found = files.match(pattern)
    if not found and files.exists(pattern):  # a file whose own name has brackets
        found = [files.stat(pattern)]
    return [_input_file(each) for each in found if not each.path.endswith("/")]


def _input_file(found: FileStat) -> InputFile:
    path, size, modified_s, etag = found
    if is_local(path):
        path = os.path.normpath(path)
    try:
        fingerprint = hashlib.sha256(path.encode())
    except UnicodeEncodeError:  # it could not be kept as the source of a record
        raise UsageError(f"--input {path!r} has a name that is not UTF-8; rename the file") from None
    if is_local(path):
        _check_regular(path)
    if is_local(path) and size <= _MAX_HASHED_BYTES:
        _hash_content(path, size, fingerprint)
    else:
        fingerprint.update(f"\0{size}\0{etag or modified_s}".encode())
    return InputFile(path, size, modified_s, fingerprint.hexdigest()[:FINGERPRINT_DIGITS], etag)


def _check_regular(path: str) -> None:
    """Raises UsageError about what may have no end, or can be read only once: a worker opens a file more than once."""
    mode = os.stat(path).st_mode  # noqa: PTH116  # as in `_identity`
    if not stat.S_ISREG(mode):
        kind = next((kind for is_kind, kind in _IRREGULAR if is_kind(mode)), "not a regular file")
        raise UsageError(f"--input {shown(path)} is {kind}; write what it gives into a file, and name that")


def _hash_content(path: str, size: int, into: Hash) -> None:
    """Raises UsageError if a file cannot be read, or is not as long as the system says."""
    length = 0
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # as in `_identity`
            while (block := file.read(BLOCK_BYTES)) and length <= size:
                into.update(block)
                length += len(block)
    except OSError as error:
        raise UsageError(f"cannot read --input {shown(path)}: {error.strerror}") from error
    if length != size:
        raise UsageError(
            f"--input {shown(path)} is not {size:,} bytes long, as the system says; something writes to it, or it is "
            "not an ordinary file: copy it, and name the copy"
        )


def _identity(path: str, real_folders: dict[str, str]) -> str:
    """The same for all names of a file.

    Args:
      real_folders: where folders are, links followed; those that are looked up are added.
    """
    if not is_local(path):
        return path
    if os.path.islink(path):  # noqa: PTH114  # there are many files, and a Path costs more than the call
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    if folder not in real_folders:
        real_folders[folder] = os.path.realpath(folder)
    return os.path.join(real_folders[folder], name)  # noqa: PTH118


def _directory_message(pattern: str) -> str:
    name = shown(pattern)
    return f"--input {name} is a directory; add /* to read the files in it: '{name.rstrip('/')}/*'"
