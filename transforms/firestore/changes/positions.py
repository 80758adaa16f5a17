"""How far a stream of changes has come. Frozen, of constant size, with a form for JSON.

    Compare(since=None, to=T)      the first snapshot: everything that is there at T
    Compare(since=T0, to=T)        what differs between T0 and T
         └─▶ Follow(T) ─▶ Follow(T1) ─▶ …      what changes from then on
                              └─▶ Compare(since=T1, to=T2)       where following is no longer possible

A position says: of every snapshot up to it, all changes have been handed out. Inside a snapshot `after` says how far.
Firestore itself remembers what was there at a read time, so a position need not.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from transforms.firestore.changes.times import from_micros, micros


class After(NamedTuple):
    """A place in a snapshot whose changes are sorted by version, then path: everything up to it was handed out."""

    update_time: datetime.datetime
    path: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Changes are received from this read time on.

    Attributes:
      read_time: what is known is the database as of then.
      token: of the server, for the same place; empty where the read time must do.
      documents: how many documents the query had then; None if nobody counted.
      after: how far the changes of the next snapshot were handed out; None for none of them.
      deletes_lost_since: documents deleted since then, and before `read_time`, may have been missed; None if not.
    """

    read_time: datetime.datetime
    token: bytes = b""
    documents: int | None = None
    after: After | None = None
    deletes_lost_since: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """The database as of two read times is compared, by document name.

    Attributes:
      since: the earlier one; None to compare with an empty database.
      to: the later one.
      after: path of the last document that was compared; None for none yet.
      by_version: the state at `since` can no longer be read: documents count as changed by their versions alone, and
        deletes are not seen.
      deletes_lost_since: as in `Follow`.
    """

    since: datetime.datetime | None
    to: datetime.datetime
    after: str | None = None
    by_version: bool = False
    deletes_lost_since: datetime.datetime | None = None


Position: TypeAlias = Compare | Follow


def to_json(position: Position) -> dict[str, Any]:
    """The position as JSON values; times in whole microseconds since 1970.

    >>> to_json(Compare(None, from_micros(7), "users/ada"))
    {'kind': 'compare', 'to': 7, 'after': 'users/ada'}
    """
    if isinstance(position, Compare):
        return _filled(
            kind="compare",
            since=_us(position.since),
            to=_us(position.to),
            after=position.after,
            by_version=position.by_version or None,
            deletes_lost_since=_us(position.deletes_lost_since),
        )
    return _filled(
        kind="follow",
        read_time=_us(position.read_time),
        token=base64.b64encode(position.token).decode() or None,
        documents=position.documents,
        after=[_us(position.after.update_time), position.after.path] if position.after else None,
        deletes_lost_since=_us(position.deletes_lost_since),
    )


def from_json(value: Mapping[str, Any]) -> Position:
    """The position that `to_json` wrote.

    Raises:
      ValueError: it is none.
    """
    try:
        lost = _time(value.get("deletes_lost_since"))
        if value["kind"] == "compare":
            since, to = _time(value.get("since")), from_micros(value["to"])
            return Compare(since, to, value.get("after"), bool(value.get("by_version")), lost)
        if value["kind"] == "follow":
            after = value.get("after")
            return Follow(
                from_micros(value["read_time"]),
                base64.b64decode(value.get("token", "")),
                value.get("documents"),
                After(from_micros(after[0]), after[1]) if after else None,
                lost,
            )
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not a position of a stream: {error!r}") from None
    raise ValueError(f"a position is of kind compare or follow, got {value['kind']!r}")


def _filled(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _us(time: datetime.datetime | None) -> int | None:
    return None if time is None else micros(time)


def _time(time_us: int | None) -> datetime.datetime | None:
    return None if time_us is None else from_micros(time_us)
