"""Where a listen job writes to: which sinks its flags ask for, and under which names.

--bigquery_table ──▶ rows, see listen.py
--handler ─────────▶ HandlerSink
"""

from __future__ import annotations

from pipeline.jobs.listen_flags import Config
from transforms.errors import UsageError
from transforms.firestore.target import FirestoreTarget
from transforms.listen.handlers import HandlerSink, load_handler
from transforms.listen.sinks import ChangeSink


def places_of(config: Config) -> tuple[str, ...]:
    """The names of all sinks, as the ledger has them.

    Raises:
      UsageError: there is none.
    """
    places = {"bigquery": config.bigquery_table, "handler": config.handler}
    if found := tuple(f"{kind}:{place}" for kind, place in places.items() if place is not None):
        return found
    raise UsageError("changes go nowhere: pass --bigquery_table=PROJECT:DATASET.TABLE or --handler=MODULE:FUNCTION")


def sinks_of(config: Config, firestore: FirestoreTarget) -> tuple[ChangeSink, ...]:
    """The sinks beside BigQuery.

    Args:
      firestore: the database that is listened to.

    Raises:
      UsageError: one cannot be written to.
    """
    sinks: list[ChangeSink] = []
    if config.handler is not None:
        load_handler(config.handler)
        sinks.append(HandlerSink(config.handler, firestore.document_name("")))
    return tuple(sinks)
