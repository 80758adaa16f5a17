"""Divides the streams of a listen job by ranges of names: beyond about 1,000 writes a second one stream is not enough.

    users ──--ranges=3──▶ users [1/3]  names below users/h     each follows and compares by itself
                          users [2/3]  names below users/q
                          users [3/3]  all others

The cuts are kept with the streams, so that a run that is resumed has the same ones, however the collection has grown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from pipeline.jobs.listen_streams import Listened, listened
from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient
from transforms.firestore.query import NAME, Query
from transforms.firestore.ranges import Bound
from transforms.firestore.read_plan import RangePlanner
from transforms.firestore.reader import count
from transforms.ledger.streams import SavedStream


class Names(NamedTuple):
    """Names from `start` on and below `end`; None for no bound."""

    start: str | None
    end: str | None

    def of(self, query: Query) -> Query:
        """The part of a query that has these names."""
        query = query if self.start is None else query.where(NAME, ">=", self.start)
        return query if self.end is None else query.where(NAME, "<", self.end)


def divided(
    streams: Sequence[Listened], ranges: int, saved: Mapping[str, SavedStream], client: FirestoreClient
) -> tuple[Listened, ...]:
    """The streams in parts, at most `ranges` of each; those that are kept in parts already, in the same ones.

    Args:
      saved: what the ledger has of the job, by stream id; those of its last run count. Empty to make new cuts.

    Raises:
      UsageError: a stream is kept in other parts than are asked for.
      JobError, TransientError: the database cannot be read.
    """
    last = max((each.attempt for each in saved.values()), default=0)
    saved = {stream_id: each for stream_id, each in saved.items() if each.attempt == last}
    return tuple(part for stream in streams for part in _parts(stream, ranges, saved, client))


def _parts(stream: Listened, ranges: int, saved: Mapping[str, SavedStream], client: FirestoreClient) -> list[Listened]:
    kept = [each for each in saved.values() if each.fields.get("part_of") == stream.stream_id]
    asked = {int(each.fields["parts_asked"]) for each in kept}
    if kept and asked != {ranges}:
        raise UsageError(
            f"the positions of stream {stream.stream_id} were saved with --ranges={max(asked)}, now it is {ranges}; "
            "put it back, or pass --start=snapshot to write everything again"
        )
    if stream.stream_id in saved and ranges > 1:
        raise UsageError(
            f"the position of stream {stream.stream_id} was saved without --ranges; leave it out, or pass "
            "--start=snapshot to write everything again"
        )
    if ranges == 1:
        return [stream]
    names = [Names(each.fields["names"]["start"], each.fields["names"]["end"]) for each in kept]
    names = sorted(names, key=lambda each: each.start or "") or _planned(stream.query.query, ranges, client)
    return [_part(stream, number, each, len(names), ranges) for number, each in enumerate(names, 1)]


def _planned(query: Query, ranges: int, client: FirestoreClient) -> list[Names]:
    per_range = -(-count(client, query) // ranges) or 1
    found = RangePlanner(client, ranges, per_range).ranges(query)
    return [Names(_path(each.start), _path(each.end)) for each in found]


def _path(bound: Bound | None) -> str | None:
    return None if bound is None else bound.path


def _part(stream: Listened, number: int, names: Names, n: int, ranges: int) -> Listened:
    query = names.of(stream.query.query)
    part = listened(stream, f"{stream.stream_id} [{number}/{n}]", query)
    bounds = {"start": names.start, "end": names.end}
    about = {"part_of": stream.stream_id, "parts_asked": ranges, "names": bounds}
    return replace(part, description=replace(part.description, part=about))
