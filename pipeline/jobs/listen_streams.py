"""Which streams a listen job has, by its flags, and where each of them begins, by the ledger.

--streams, --collection, --collection_group ──▶ Listened: query, settings of its entries, description for the ledger
pipeline_streams/{job_id}:… ──────────────────▶ SavedStream ──▶ position, or UsageError
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.jobs.listen_flags import RESUME, Config
from pipeline.run.job import digest
from pipeline.streams import read_streams
from transforms.errors import UsageError
from transforms.firestore.changes.options import ListenedQuery
from transforms.firestore.collection_patterns import CollectionPattern, by_query
from transforms.firestore.conditions import parse_condition
from transforms.firestore.query import Query
from transforms.inputs.identity import of_query
from transforms.ledger.streams import SavedStream, StreamDescription
from transforms.listen.definitions import StreamDefinition, StreamsFile, parse_variables
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


def file_of(config: Config) -> StreamsFile | None:
    """The streams file that the flags name, if they do.

    Raises:
      UsageError: it cannot be read, or there are flags beside it that it takes the place of.
    """
    if config.streams is None:
        if config.stream_var:
            raise UsageError("--stream_var sets a variable of a streams file; name that with --streams")
        return None
    others = ("collection", "collection_group", "where", "fields")
    if given := [f"--{name}" for name in others if getattr(config, name)]:
        raise UsageError(f"--streams says what is listened to; leave {given[0]} out, or write it into the file")
    return read_streams(config.streams, parse_variables(config.stream_var))


def streams_of(
    config: Config,
    file: StreamsFile | None,
    spec_fingerprint: str,
    sinks: tuple[str, ...],
    rates: Mapping[str, int],
) -> tuple[Listened, ...]:
    """The streams that the flags ask for.

    Args:
      rates: changes per minute by priority.

    Raises:
      UsageError: there is none, or one of them cannot be listened to.
    """
    if file is not None:
        return tuple(_of_file(each, spec_fingerprint, sinks, rates) for each in file.streams)
    if not config.collection and not config.collection_group:
        raise UsageError(
            "nothing to listen to: pass --collection=users, --collection_group=posts, or --streams with a streams file"
        )
    patterns = map(CollectionPattern, (*config.collection, *(f"**/{each}" for each in config.collection_group)))
    found = []
    for query, meant in by_query(patterns).items():
        stream_id = ",".join(pattern.text for pattern in meant)
        conditioned = ListenedQuery(stream_id, _conditioned(query, config))
        shown = " and ".join([stream_id, *config.where])
        found.append(_listened(conditioned, StreamSettings(meant), shown, spec_fingerprint, sinks))
    return tuple(found)


def listened(whole: Listened, stream_id: str, query: Query) -> Listened:
    """A stream that is a part of another one: of its own id and query, alike in all else."""
    part = ListenedQuery(stream_id, query)
    description = replace(
        whole.description,
        stream_id=stream_id,
        query_fingerprint=digest(whole.description.query_fingerprint, of_query(query)),
    )
    return replace(whole, query=part, description=description)


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


def is_of_run(saved: SavedStream | None, stream: Listened, attempt: int) -> bool:
    """Whether what is saved is this very stream, of the run that is resumed."""
    if saved is None or saved.attempt != attempt:
        return False
    then, now = saved.fields, stream.description
    return (then["query_fingerprint"], then["spec_fingerprint"]) == (now.query_fingerprint, now.spec_fingerprint)


def _of_file(
    definition: StreamDefinition, spec_fingerprint: str, sinks: tuple[str, ...], rates: Mapping[str, int]
) -> Listened:
    query, parameters = definition.query, dict(definition.parameters)
    conditions = (f"{each.field} {each.operator} {each.value!r}" for each in query.conditions)
    settings = StreamSettings((CollectionPattern(query.collection),), parameters)
    shown = " and ".join([query.collection, *conditions])
    of_file = ListenedQuery(definition.stream_id, query)
    return _listened(of_file, settings, shown, spec_fingerprint, sinks, definition.priority, rates)


def _listened(
    query: ListenedQuery,
    settings: StreamSettings,
    shown: str,
    spec_fingerprint: str,
    sinks: tuple[str, ...],
    priority: str | None = None,
    rates: Mapping[str, int] = {},
) -> Listened:
    about = ([pattern.text for pattern in settings.patterns], sorted(settings.parameters.items()))
    fingerprint = digest(of_query(query.query), *about)
    limit = rates[priority] if priority else None
    description = StreamDescription(query.stream_id, shown, fingerprint, spec_fingerprint, sinks, priority or "", limit)
    return Listened(query, settings, description)


def _conditioned(query: Query, config: Config) -> Query:
    for condition in map(parse_condition, config.where):
        query = query.where(condition.field, condition.operator, condition.value)
    return query.select(*config.fields) if config.fields else query
