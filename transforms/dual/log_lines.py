"""The log lines of DualStore. Exact: alerts are made of them. They hold no payload, and whom a record belongs to."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from transforms.dual.kinds import Kind
from transforms.dual.protocol import Result
from transforms.dual.stored import COSMOS, FIRESTORE

LOGGER = logging.getLogger("firebeam.dual")
_NAMES = {COSMOS: "CosmosDB", FIRESTORE: "Firestore"}


def log_write(kind: Kind, fields: Mapping[str, object], result: Result, *, is_delete: bool = False) -> None:
    """Logs what became of a write in each store, and in both."""
    label, whom = kind.label, f"{kind.owner_word} {kind.owner_of(fields)}"
    for store, outcome in result.outcomes.items():
        name = _NAMES[store]
        if not outcome.is_accepted:
            verb = f"delete {label} from" if is_delete else f"save {label} to"
            LOGGER.error("Failed to %s %s: %s", verb, name, outcome.reason)
        elif is_delete:
            LOGGER.info("Successfully deleted %s from %s for %s", label, name, whom)
        else:
            LOGGER.info("Successfully saved %s to %s for %s", label, name, whom)
    if len(result.outcomes) < 2:
        return
    accepted = [store for store, outcome in result.outcomes.items() if outcome.is_accepted]
    if len(accepted) == 2:
        LOGGER.info("Dual write successful for %s by %s", label, whom)
    elif accepted:
        LOGGER.warning("Only %s write successful for %s by %s", _NAMES[accepted[0]], label, whom)
    else:
        LOGGER.error("Both writes failed for %s by %s", label, whom)


def log_difference(kind: Kind, names: list[str]) -> None:
    """Logs that both stores give other values for a record: names of fields, never values."""
    LOGGER.warning("Shadow read of %s differs between the stores in: %s", kind.label, ", ".join(names))
