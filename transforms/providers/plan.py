"""What a job triggers or takes at a provider: found by the launcher, small enough to travel to a worker. Plain data.

    requests/*.jsonl ──planned──▶ PlannedBatch, one per file, or several of a file that is too large for one
    s_abc, @ids.txt  ──existing─▶ PlannedBatch, one per id

The key of a batch is made of the job and of what it asks, so the same command finds its own batches again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from transforms import files
from transforms.errors import UsageError
from transforms.files import shown
from transforms.inputs.files import FINGERPRINT_DIGITS, InputFile, open_input

_KEY_DIGITS = 24
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_IDS_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """One batch at a provider.

    Attributes:
      key: ours; the provider keeps it where it can, the ledger names the document by it.
      number: its place in the plan, from 0.
      source: path of the file that has its requests; empty where the batch exists already.
      start, stop: the bytes of that file.
      n_requests: how many requests these are; None where nobody knows.
      remote_id: the provider's id of a batch that exists already.
    """

    key: str
    number: int
    source: str = ""
    start: int = 0
    stop: int = 0
    n_requests: int | None = None
    remote_id: str = ""

    @property
    def input_id(self) -> str:
        """With what the ids of the job's own batches begin that are made of it."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:FINGERPRINT_DIGITS]


class RequestLimits(NamedTuple):
    """What fits into one batch at a provider, and what names a request.

    Attributes:
      max_requests, max_bytes: None for no limit.
      key_field: field of a line that names the request; None where requests have no names.
    """

    max_requests: int | None = None
    max_bytes: int | None = None
    key_field: str | None = None


class Request(NamedTuple):
    """One line of a file of requests.

    Attributes:
      start: its first byte.
      line: counted from 1, where it was counted.
      name: what the request is called; None where requests have no names.
      raw: the line without its end.
    """

    start: int
    line: int
    name: str | None
    raw: bytes


def key_of(*parts: object) -> str:
    """The key of a batch that is asked for by these parts.

    >>> key_of("ingest-1", "openai", "0123456789ab", 0)
    'fb-f2e299260dfc618ce45fd9cd'
    """
    text = "\n".join(str(part) for part in parts)
    return f"fb-{hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]}"


def planned(job_id: str, provider: str, inputs: Sequence[InputFile], limits: RequestLimits) -> tuple[PlannedBatch, ...]:
    """The batches that files of requests ask for. Reads every file once.

    Args:
      job_id: the same requests of another job are other batches.
      provider: name of the description, and what else says which account is asked.

    Raises:
      UsageError: a line is not a request, has no name or that of another one; names file and line.
    """
    batches: list[PlannedBatch] = []
    seen: dict[str, tuple[str, int]] = {}
    for file in inputs:
        start = stop = n = 0
        for request in requests_of(file, limits.key_field):
            if request.name is not None:
                _check_new(request, file.path, seen)
            end = request.start + len(request.raw) + 1
            is_full = limits.max_requests is not None and n >= limits.max_requests
            is_large = limits.max_bytes is not None and end - start > limits.max_bytes
            if n and (is_full or is_large):
                batches.append(_planned(job_id, provider, file, len(batches), start, stop, n))
                start, n = request.start, 0
            n, stop = n + 1, end
        if n:
            batches.append(_planned(job_id, provider, file, len(batches), start, stop, n))
    if not batches:
        raise UsageError("--requests has no requests: each line of its files is one, as the provider's reference says")
    return tuple(batches)


def existing(job_id: str, provider: str, remote_ids: Iterable[str]) -> tuple[PlannedBatch, ...]:
    """Batches that exist already, each once."""
    ids = dict.fromkeys(remote_ids)
    return tuple(
        PlannedBatch(key_of(job_id, provider, remote_id), number, remote_id=remote_id)
        for number, remote_id in enumerate(ids)
    )


def ids_in(path: str) -> list[str]:
    """The ids that a file names, one per line. Raises UsageError if it cannot be read, or has none."""
    try:
        with files.open_file(path) as stored:
            text = stored.read(_MAX_IDS_BYTES).decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the ids in {shown(path)}: {files.reason(error)}") from None
    ids = [line.strip() for line in text.splitlines() if line.strip()]
    if not ids:
        raise UsageError(f"{shown(path)} has no ids; write one per line")
    return ids


def requests_of(file: InputFile, key_field: str | None, start: int = 0, stop: int | None = None) -> Iterable[Request]:
    """The requests in these bytes of a file, one at a time.

    Raises:
      UsageError: a line is not a request; names file and line.
      JobError: the file has changed since it was matched.
    """
    with open_input(file) as stored:
        if stored.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC:
            raise UsageError(f"--requests {file.path} is compressed; unpack it, providers take plain JSON Lines")
        stored.seek(start)
        at = start
        for line, raw in enumerate(stored, 1):
            if stop is not None and at >= stop:
                return
            if stripped := raw.strip():
                where = f"--requests {file.path}:{line}"
                yield Request(at, line, _name_of(stripped, key_field, where), raw.rstrip(b"\r\n"))
            at += len(raw)


def _name_of(raw: bytes, key_field: str | None, where: str) -> str | None:
    try:
        request: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise UsageError(f"{where} is not JSON; each line is one request, as the provider's reference says") from None
    if not isinstance(request, dict):
        raise UsageError(f"{where} is not an object; each line is one request, as the provider's reference says")
    if key_field is None:
        return None
    name = request.get(key_field)
    if not isinstance(name, str) or not name:
        raise UsageError(f"{where} has no {key_field}; answers come in any order and are told apart by it")
    return name


def _check_new(request: Request, path: str, seen: dict[str, tuple[str, int]]) -> None:
    assert request.name is not None
    if request.name in seen:
        first = "{}:{}".format(*seen[request.name])
        raise UsageError(f"--requests {path}:{request.line} has the name of the request at {first}; each needs its own")
    seen[request.name] = path, request.line


def _planned(
    job_id: str, provider: str, file: InputFile, number: int, start: int, stop: int, n_requests: int
) -> PlannedBatch:
    key = key_of(job_id, provider, file.fingerprint, start)
    return PlannedBatch(key, number, file.path, start, stop, n_requests)
