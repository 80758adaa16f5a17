"""Where a listen job writes to: which sinks its flags ask for, and under which names.

--bigquery_table ──▶ rows, see listen.py
--pubsub_topic ────▶ PubSubSink
--handler ─────────▶ HandlerSink
"""

from __future__ import annotations

from pipeline.jobs.listen_flags import Config
from transforms.errors import UsageError
from transforms.firestore.target import FirestoreTarget
from transforms.listen.handlers import HandlerSink, load_handler
from transforms.listen.sinks import ChangeSink
from transforms.services import Services


def places_of(config: Config) -> tuple[str, ...]:
    """The names of all sinks, as the ledger has them.

    Raises:
      UsageError: there is none.
    """
    places = {"bigquery": config.bigquery_table, "pubsub": config.pubsub_topic, "handler": config.handler}
    if found := tuple(f"{kind}:{place}" for kind, place in places.items() if place is not None):
        return found
    raise UsageError(
        "changes go nowhere: pass --bigquery_table=PROJECT:DATASET.TABLE, --pubsub_topic=TOPIC or "
        "--handler=MODULE:FUNCTION"
    )


def sinks_of(config: Config, firestore: FirestoreTarget, services: Services) -> tuple[ChangeSink, ...]:
    """The sinks beside BigQuery.

    Args:
      firestore: the database that is listened to.

    Raises:
      UsageError: one cannot be written to.
      JobError: the topic does not exist, or nobody answers there.
    """
    sinks: list[ChangeSink] = []
    if config.pubsub_topic is not None:
        sinks.append(_topic(config, config.pubsub_topic, firestore, services))
    if config.handler is not None:
        load_handler(config.handler)
        sinks.append(HandlerSink(config.handler, firestore.document_name("")))
    return tuple(sinks)


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
