"""Where a listen job writes to: which sinks its flags ask for, and under which names.

--bigquery_table ──▶ rows, see listen.py
--to ──────────────▶ MirrorSink
--pubsub_topic ────▶ PubSubSink
--handler ─────────▶ HandlerSink
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.jobs.listen_flags import APPLY, SPEC, Config
from pipeline.jobs.listen_streams import Listened
from pipeline.locations import written_collection
from transforms.errors import UsageError
from transforms.firestore.collection_patterns import all_parameters
from transforms.firestore.target import FirestoreTarget
from transforms.listen.handlers import HandlerSink, load_handler
from transforms.listen.mirror import MirrorSink
from transforms.listen.mirror_places import CollectionPlaces, Mirrored, SpecPlaces
from transforms.listen.sinks import ChangeSink
from transforms.records.spec import RecordSpec
from transforms.services import Services


class Source(NamedTuple):
    """What is listened to, as far as it matters where it goes."""

    firestore: FirestoreTarget
    streams: tuple[Listened, ...]
    spec: RecordSpec | None
    job_id: str


def places_of(config: Config) -> tuple[str, ...]:
    """The names of all sinks, as the ledger has them.

    Raises:
      UsageError: there is none.
    """
    places = {
        "bigquery": config.bigquery_table,
        "to": config.to,
        "pubsub": config.pubsub_topic,
        "handler": config.handler,
    }
    if found := tuple(f"{kind}:{place}" for kind, place in places.items() if place is not None):
        return found
    raise UsageError(
        "changes go nowhere: pass --bigquery_table=PROJECT:DATASET.TABLE, --to=firestore://COLLECTION, "
        "--pubsub_topic=TOPIC or --handler=MODULE:FUNCTION"
    )


def sinks_of(source: Source, config: Config, services: Services) -> tuple[ChangeSink, ...]:
    """The sinks beside BigQuery.

    Raises:
      UsageError: one cannot be written to.
      JobError: the topic does not exist, or nobody answers there.
    """
    firestore = source.firestore
    sinks: list[ChangeSink] = []
    if config.to is not None:
        sinks.append(_mirror(source, config, config.to))
    if config.pubsub_topic is not None:
        sinks.append(_topic(config, config.pubsub_topic, firestore, services))
    if config.handler is not None:
        load_handler(config.handler)
        sinks.append(HandlerSink(config.handler, firestore.document_name("")))
    return tuple(sinks)


def _mirror(source: Source, config: Config, to: str) -> ChangeSink:
    streams = [
        Mirrored(each.stream_id, each.query.query, each.settings.parameters, all_parameters(each.settings.patterns))
        for each in source.streams
    ]
    if to == SPEC:
        if source.spec is None:
            raise UsageError("--to=spec writes the documents of a record spec; pass --spec=NAME, or another --to")
        of_spec = SpecPlaces(source.spec, applies_deletes=config.deletes == APPLY)
        of_spec.check(streams)
        return MirrorSink(source.firestore, of_spec, source.job_id, config.retry)
    target, collection = written_collection("--to", to, source.firestore)
    places = CollectionPlaces(collection)
    places.check(streams, same_database=target.name == source.firestore.name)
    return MirrorSink(target, places, source.job_id, config.retry)


def _topic(config: Config, name: str, firestore: FirestoreTarget, services: Services) -> ChangeSink:
    # Its messages take a second to import, for which only those wait who publish.
    from transforms.listen.publish import PubSubSink
    from transforms.pubsub.publisher import Publisher
    from transforms.pubsub.topic import PubSubTopic

    topic = PubSubTopic.parse(name, firestore.project, services, config.max_outage_s)
    publisher = Publisher(topic, config.retry)
    try:
        publisher.check_topic()
    finally:
        publisher.close()
    return PubSubSink(topic, firestore.document_name(""), config.retry)
