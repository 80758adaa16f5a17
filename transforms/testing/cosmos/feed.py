"""The change feed of one physical partition, in both of its modes. Plain Python.

    A-IM: Incremental Feed      each item in its newest version, without deletes, from the beginning or behind an lsn
    A-IM: Full-Fidelity Feed    every version and every delete, from now on or behind an lsn
    If-None-Match: * │ "17"     from now on │ behind sequence number 17
    ETag: "21"                  what the next request says

An answer never ends within a batch, whose changes have one sequence number.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

from transforms.testing.cosmos.answers import Answer, RefusedError, encoded
from transforms.testing.cosmos.container import CREATE, DELETE, Change, Container, Partition

FULL_FIDELITY = "full-fidelity feed"

_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_DEFAULT_COUNT = 100


def read_feed(
    container: Container,
    partition: Partition,
    mode: str,
    since: str | None,
    modified_since: str | None,
    max_count: int,
    bounds: tuple[str, str],
    partition_key: str | None,
    versions_kept_s: float | None = None,
) -> Answer:
    """One page.

    Args:
      mode: the header A-IM.
      since: the header If-None-Match.
      modified_since: the header If-Modified-Since.
      max_count: the header x-ms-max-item-count; below 1 for the server's own.
      bounds: effective keys of the changes that are wanted.
      partition_key: as text; None for all.
      versions_kept_s: how far back all versions and deletes can be read; None for no limit.
    """
    container.expire()
    is_full = mode.lower() == FULL_FIDELITY
    if is_full and since is None:
        raise RefusedError(400, "All versions and deletes cannot be read from the beginning")
    behind = partition.lsn if since == "*" else _lsn(since)
    oldest = next(partition.behind(behind), None)
    if is_full and versions_kept_s is not None and oldest is not None and oldest.ts < container.now() - versions_kept_s:
        raise RefusedError(400, "The changes that were asked for are older than the account keeps them")
    earliest = parsedate_to_datetime(modified_since).timestamp() if modified_since and since is None else 0
    texts: list[bytes] = []
    n_bytes, last = 0, behind
    for change in partition.behind(behind):
        is_wanted = (
            bounds[0] <= change.effective < bounds[1]
            and change.ts >= earliest
            and (partition_key is None or change.key[0] == partition_key)
            and (is_full or (change.is_newest and change.kind != DELETE))
        )
        if is_wanted:
            is_full_page = len(texts) >= (max_count if max_count > 0 else _DEFAULT_COUNT)
            if change.lsn != last and texts and (is_full_page or n_bytes + len(change.text) > _MAX_ANSWER_BYTES):
                break
            texts.append(
                encoded(_versioned(change, container)) if is_full else change.text[:-1] + b',"_lsn":%d}' % change.lsn
            )
            n_bytes += len(texts[-1])
        last = change.lsn
    else:
        last = partition.lsn
    headers = {"etag": f'"{last}"', "lsn": str(partition.lsn), "x-ms-item-count": str(len(texts))}
    charge = round(1 + n_bytes / 1024 * 0.1, 2)
    if not texts:
        return Answer(304, b"", headers, charge)
    body = b'{"_rid":"%b","Documents":[%b],"_count":%d}' % (container.rid.encode(), b",".join(texts), len(texts))
    return Answer(200, body, headers, charge)


def _lsn(since: str | None) -> int:
    if since is None:
        return 0
    text = since.strip('"')
    if not text.isdecimal():
        raise RefusedError(400, f"If-None-Match {since!r} is not a continuation of the change feed")
    return int(text)


def _versioned(change: Change, container: Container) -> dict[str, Any]:
    """A change as the full-fidelity feed has it, in the wire format of 2021-09-15.

    Source: learn.microsoft.com/javascript/api/@azure/functions/cosmosdbv4changefeedmetadata
    """
    metadata: dict[str, Any] = {"operationType": change.kind, "lsn": change.lsn, "crts": change.ts}
    if change.kind != CREATE and change.previous is not None:
        metadata["previousImageLSN"] = change.previous.lsn
    if change.kind != DELETE:
        return {"current": {**change.item, "_lsn": change.lsn}, "metadata": metadata}
    if change.is_expired:
        metadata["timeToLiveExpired"] = True
    names = (path.strip("/") for path in container.paths)
    metadata |= {
        "id": change.item["id"],
        "partitionKey": dict(zip(names, container.values_of(change.item), strict=True)),
    }
    return {"current": {}, "previous": change.item, "metadata": metadata}
