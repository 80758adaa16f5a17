"""Which streams a listen job has, by its flags, and where each of them begins, by the ledger.

--collection, --collection_group ──▶ Listened: query, settings of its entries, description for the ledger
pipeline_streams/{job_id}:… ───────▶ SavedStream ──▶ position, or UsageError
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.jobs.listen_flags import RESUME, Config
from pipeline.run.job import digest
from transforms.errors import UsageError
from transforms.firestore.changes.options import ListenedQuery
from transforms.firestore.collection_patterns import CollectionPattern, by_query
from transforms.firestore.conditions import parse_condition
from transforms.firestore.query import Query
from transforms.inputs.identity import of_query
from transforms.ledger.streams import SavedStream, StreamDescription
from transforms.listen.entries import StreamSettings


@dataclass(frozen=True)
class Listened:
    """One stream of the job.

    Attributes:
      query: with the stream's id.
      settings: of its entries.
      description: for the ledger.
    """

    query: ListenedQuery
    settings: StreamSettings
    description: StreamDescription

    @property
    def stream_id(self) -> str:
        """Its name, unique in the job."""
        return self.query.stream_id


def streams_of(config: Config, spec_fingerprint: str, sinks: tuple[str, ...]) -> tuple[Listened, ...]:
    """The streams that the flags ask for.

    Raises:
      UsageError: there is none, or one of them cannot be listened to.
    """
    if not config.collection and not config.collection_group:
        raise UsageError("nothing to listen to: pass --collection=users or --collection_group=posts")
    patterns = map(CollectionPattern, (*config.collection, *(f"**/{each}" for each in config.collection_group)))
    found = []
    for query, meant in by_query(patterns).items():
        stream_id = ",".join(pattern.text for pattern in meant)
        listened = ListenedQuery(stream_id, _conditioned(query, config))
        description = StreamDescription(
            stream_id,
            " and ".join([stream_id, *config.where]),
            digest(of_query(listened.query), [pattern.text for pattern in meant]),
            spec_fingerprint,
            sinks,
        )
        found.append(Listened(listened, StreamSettings(meant), description))
    return tuple(found)


def check_saved(streams: Sequence[Listened], saved: Mapping[str, SavedStream], config: Config) -> None:
    """Raises UsageError if a stream cannot be resumed that is to be resumed."""
    for stream in streams:
        before = saved.get(stream.stream_id)
        if before is None or before.position is None:
            if config.start == RESUME:
                raise UsageError(
                    f"stream {stream.stream_id} has no saved position to resume from; leave out --start, or pass "
                    "--start=snapshot or --start=now"
                )
            continue
        if config.start not in (None, RESUME) or config.restart:
            continue
        for name, attribute in (("record spec", "spec_fingerprint"), ("query", "query_fingerprint")):
            if before.fields.get(attribute) != getattr(stream.description, attribute):
                raise UsageError(
                    f"the {name} of stream {stream.stream_id} has changed since its position was saved; put it back, "
                    "pass --start=snapshot to write everything again, or choose another --job_id"
                )


def _conditioned(query: Query, config: Config) -> Query:
    for condition in map(parse_condition, config.where):
        query = query.where(condition.field, condition.operator, condition.value)
    return query.select(*config.fields) if config.fields else query
