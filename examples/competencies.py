"""A service for what students can do, in an event loop, while its documents move from Cosmos DB to Firestore.

    python examples/competencies.py                              in memory
    python examples/competencies.py --container=cosmos://school/competencies --migration=students

The second form reads COSMOS_ENDPOINT, COSMOS_KEY and GOOGLE_CLOUD_PROJECT; the phase comes from the migration.
"""

import argparse
import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from pipeline.specs import read_spec
from transforms import AsyncDualStore
from transforms.dual.async_store import InEventLoop
from transforms.dual.connect import open_async_dual_store
from transforms.dual.kinds import Kind
from transforms.dual.memory import MemoryStore
from transforms.dual.watch import FixedPhase

SPEC = "student_competencies"
PARTITION_KEY = "/student_id"


class CompetencyService:
    """What students can do, one record per student and subskill.

    Args:
      store: of competencies.
    """

    def __init__(self, store: AsyncDualStore):
        self._store = store

    async def record(self, student_id: str, subject: str, skill_id: str, subskill_id: str, score: float) -> None:
        """Stores the newest score. Raises BothFailedError if neither store has it."""
        names = _names(student_id, subject, skill_id, subskill_id)
        await self._store.put({**names, "score": score})

    async def score(self, student_id: str, subject: str, skill_id: str, subskill_id: str) -> float | None:
        """The newest score; None if there is none."""
        names = _names(student_id, subject, skill_id, subskill_id)
        found = await self._store.get(names.pop("id"), **names)
        return None if found is None else float(found["score"])

    async def weak(self, student_id: str, below: float) -> list[dict[str, Any]]:
        """What a student should practise, the lowest score first."""
        return await self._store.query(("student_id", "==", student_id), ("score", "<", below), order_by="score")


def _names(student_id: str, subject: str, skill_id: str, subskill_id: str) -> dict[str, Any]:
    """The fields that name a competency, of which both stores make their ids."""
    return {
        "id": f"{student_id}_{subject}_{skill_id}_{subskill_id}",
        "student_id": student_id,
        "subject": subject,
        "skill_id": skill_id,
        "subskill_id": subskill_id,
    }


async def show(service: CompetencyService) -> None:
    """Records scores and reads them."""
    await service.record("12345", "mathematics", "fractions", "adding", 0.4)
    await service.record("12345", "mathematics", "fractions", "comparing", 0.9)
    logging.info("adding: %s", await service.score("12345", "mathematics", "fractions", "adding"))
    for competency in await service.weak("12345", below=0.5):
        logging.info("to practise: %s", competency["subskill_id"])


async def run(container: str | None, migration: str) -> None:
    """Runs the example on the container, or in memory."""
    spec = read_spec(SPEC)
    if container:
        store = open_async_dual_store(spec, container, PARTITION_KEY, migration)
    else:
        cosmos, firestore = (InEventLoop(MemoryStore(name)) for name in ("cosmos", "firestore"))
        kind, phase = Kind.of(spec, PARTITION_KEY), FixedPhase("firestore_primary")
        store = AsyncDualStore(kind, phase, cosmos=cosmos, firestore=firestore)
    async with store:
        await show(CompetencyService(store))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--container", help="cosmos://DATABASE/CONTAINER; default: stores in memory")
    parser.add_argument("--migration", default="students")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    asyncio.run(run(chosen.container, chosen.migration))


if __name__ == "__main__":
    main()
