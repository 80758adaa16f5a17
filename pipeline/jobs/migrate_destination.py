"""What a migration reads and where its items go, by its flags; a replay sends those of its dead letters there, too."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.jobs.destination import request_limits, rows_to
from pipeline.jobs.migrate_flags import Config
from pipeline.locations import written_collection
from pipeline.specs import read_spec
from transforms.cosmos.connection import Properties
from transforms.cosmos.reads import provisioned_units_per_s
from transforms.cosmos.target import CosmosTarget
from transforms.errors import JobError, UsageError
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.migration_names import check_migration
from transforms.ledger.migrations import migration_document, read_migration
from transforms.migrate.documents import META_FIELD, SOURCE_SYSTEM
from transforms.migrate.doubts import AskCosmos
from transforms.migrate.items import ItemForm, MigratedLayout, order_of
from transforms.migrate.phases import COSMOS, phase_of
from transforms.migrate.states import state_of
from transforms.services import Services
from transforms.upsert.destination import Destination

_SHARE_OF_UNITS = 0.5
_SAMPLED_DOCUMENTS = 100


@dataclass(frozen=True)
class Migrated:
    """What a migration reads and writes.

    Attributes:
      container: with its bound of request units.
      rid: the service's own name of it; another one once it is created again.
      to: where its items go.
      form: of its items.
      layout: of its documents.
      is_ttl_on: whether items with a `ttl` expire in the container at all.
    """

    container: CosmosTarget
    rid: str
    to: Destination
    form: ItemForm
    layout: MigratedLayout
    is_ttl_on: bool


def migrated(config: Config, services: Services, *, failed_before: bool = False) -> Migrated:
    """Finds the container and the collection, and what is between them.

    Args:
      failed_before: as in `destination`.

    Raises:
      UsageError: what is wrong with which flag, or there is no such container.
    """
    check_migration(config.migration)
    spec = replace(read_spec(config.spec), escapes_ids=True)
    if spec.flat_collection is not None:
        raise UsageError(
            f"--spec={config.spec} makes pairs of documents; a migration needs a spec with `collection`, such as "
            "student_attempts: see docs/specs.md"
        )
    firestore, collection = written_collection("--to", config.to, config.firestore(services))
    Query(collection)  # refuses what is not the path of a collection
    container, properties = _container(config)
    order = order_of(spec, properties.key_paths)
    form = ItemForm(order, config.nested_arrays)
    layout = MigratedLayout(firestore, collection, spec.schema_version, order)
    limits = request_limits(firestore, config.max_in_flight, failed_before=failed_before)
    to_table = config.bigquery_table, config.bigquery_method, spec, services, config.max_outage_s
    rows = rows_to(*to_table, form=form, shows_deletes=True, failed_before=failed_before)
    asks = AskCosmos(container, spec, form)
    to = Destination(spec, layout, limits, rows, config.retry, config.max_writes_per_s, form, asks, shows_deletes=True)
    return Migrated(container, properties.rid, to, form, layout, properties.default_ttl is not None)


def check_collection(layout: MigratedLayout) -> None:
    """Raises UsageError if the collection holds documents that are not copies of items: the first hundred are read."""
    query = Query(layout.collection).limit(_SAMPLED_DOCUMENTS)
    for document in read(layout.target.connect(), query):
        meta = document.fields.get(META_FIELD)
        is_ours = isinstance(meta, dict) and ("_ts" in meta or "stamp" in meta)
        if not is_ours and document.fields.get("source_system") != SOURCE_SYSTEM:
            raise UsageError(
                f"--to: {layout.collection} holds other documents, such as {document.id}, which items could replace; "
                "name a collection of its own"
            )


def check_phase(config: Config, firestore: FirestoreTarget) -> None:
    """Raises UsageError unless Cosmos DB is primary and stays so: else its items are the older copies."""
    document = migration_document(firestore.connect(), config.migration, config.retry)
    state = state_of(read_migration(document))
    phase = phase_of(state.phase)
    if phase.primary == COSMOS and not state.changes_primary:
        return
    is_in = f"changes to {state.change.to}" if state.change else f"is in {phase.name}"
    raise UsageError(
        f"--mode=copy: the migration {config.migration} {is_in}, so Firestore may have later versions than Cosmos DB, "
        f"which a copy would replace; --mode=follow repairs both. To copy again, first go back: firebeam phase "
        f"{config.migration} --rollback"
    )


def _container(config: Config) -> tuple[CosmosTarget, Properties]:
    """The container, and what it is."""
    target = replace(CosmosTarget.of(config.from_, "--from"), is_low_priority=True, retry=config.retry)
    try:
        connection = target.connect()
        properties = connection.properties
        account = connection.client.get_database_account()
        units = config.max_request_units_per_s
        if units is None and (provisioned := provisioned_units_per_s(connection)):
            units = provisioned * _SHARE_OF_UNITS
    except JobError as error:
        raise UsageError(f"--from: {error}") from None
    if len(account.WritableLocations) > 1:
        raise UsageError(
            f"--from: the account of {target.label} accepts writes in several regions, whose order nobody knows; "
            "switch multi-region writes off for the time of the migration"
        )
    return replace(target, max_request_units_per_s=units), properties
