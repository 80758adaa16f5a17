"""What Cosmos DB adds to an item, and what it says about its version. Plain Python."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from transforms.errors import RecordError

# The service writes them; _lsn is in the change feed only.
SYSTEM_FIELDS = ("_rid", "_self", "_etag", "_attachments", "_ts", "_lsn")
MAX_ID_BYTES = 1023  # learn.microsoft.com/azure/cosmos-db/concepts-limits

_NOT_IN_IDS = "/\\?#\t\r\n"  # the SDK's own list


class ItemVersion(NamedTuple):
    """Which version of an item: `ts` orders them by seconds, `etag` tells those of one second apart.

    Attributes:
      ts: seconds since 1970, by the service.
      etag: names the version; in no order.
    """

    ts: int
    etag: str

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> ItemVersion:
        """Of an item as the service gives it."""
        return cls(item["_ts"], item["_etag"])

    @property
    def time(self) -> datetime.datetime:
        """When it was written, to the second."""
        return datetime.datetime.fromtimestamp(self.ts, datetime.timezone.utc)


def own_fields(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as its writer gave it.

    >>> own_fields({"id": "a", "_ts": 1, "_etag": "x"})
    {'id': 'a'}
    """
    return {name: value for name, value in item.items() if name not in SYSTEM_FIELDS}


def path_steps(path: str) -> list[str]:
    """The names on the way that a path of a partition key goes.

    >>> path_steps("/who/school name")
    ['who', 'school name']
    """
    return path.strip("/").split("/")


def accessor(steps: Iterable[str]) -> str:
    """How a query names a member of an item.

    >>> accessor(["who", "a/b"])
    'c["who"]["a/b"]'
    """
    return "c" + "".join(f"[{json.dumps(name)}]" for name in steps)


def partition_key_of(item: Mapping[str, Any], paths: Sequence[str]) -> list[Any]:
    """The values of an item's partition key, one per path; {} where it has none, as the SDK says "undefined".

    >>> partition_key_of({"id": "a", "who": {"school": 7}}, ["/who/school", "/who/name"])
    [7, {}]
    """
    values = []
    for path in paths:
        value: Any = item
        for name in path_steps(path):
            value = value.get(name, {}) if isinstance(value, Mapping) else {}
        values.append(value)
    return values


def is_path_step(name: str) -> bool:
    """Whether an address with this id is that of something else: /docs/.. is the container."""
    return name in (".", "..")


def check_id(name: str) -> str:
    """An id that the service takes.

    Raises:
      RecordError: it does not.
    """
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES:
        raise RecordError("INVALID_ID", f"an id of Cosmos DB has between 1 and {MAX_ID_BYTES:,} bytes")
    if is_path_step(name):
        raise RecordError("INVALID_ID", "an item of this id cannot be asked for: in an address . and .. are steps")
    if any(each in name for each in _NOT_IN_IDS) or name.endswith(" "):
        raise RecordError(
            "INVALID_ID", "an id of Cosmos DB has none of / \\ ? #, tabs and line ends, and no space at its end"
        )
    return name
