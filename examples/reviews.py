"""A service for reviews of students' work, which goes on while its documents move from Cosmos DB to Firestore.

    python examples/reviews.py                                   in memory: one store fails and comes back
    python examples/reviews.py --container=cosmos://school/reviews --migration=students

The second form reads COSMOS_ENDPOINT, COSMOS_KEY and GOOGLE_CLOUD_PROJECT; the phase comes from the migration.
"""

import argparse
import datetime
import logging
import uuid
from collections.abc import Sequence
from typing import Any

from pipeline.specs import read_spec
from transforms import DualStore
from transforms.dual.connect import open_dual_store
from transforms.dual.kinds import Kind
from transforms.dual.memory import MemoryStore
from transforms.dual.watch import FixedPhase

SPEC = "student_reviews"
PARTITION_KEY = "/student_id"


class ReviewService:
    """Reviews of what students handed in.

    Args:
      store: of reviews.
    """

    def __init__(self, store: DualStore):
        self._store = store

    def add(self, student_id: str, problem_id: str, score: float, feedback: str) -> str:
        """Stores a review; returns its id. Raises BothFailedError if neither store has it."""
        review_id = uuid.uuid4().hex
        review = {
            "id": review_id,
            "student_id": student_id,
            "problem_id": problem_id,
            "score": score,
            "feedback": feedback,
            "reviewed_at": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        }
        self._store.put(review)
        return review_id

    def of_student(self, student_id: str, limit: int = 50) -> list[dict[str, Any]]:
        """A student's reviews, the newest first."""
        return self._store.query(("student_id", "==", student_id), order_by="reviewed_at", descending=True, limit=limit)

    def correct(self, review_id: str, student_id: str, score: float) -> bool:
        """Changes a score; returns whether there is such a review."""
        return self._store.patch(review_id, {"score": score}, student_id=student_id) is not None

    def withdraw(self, review_id: str, student_id: str) -> None:
        """Deletes a review."""
        self._store.delete(review_id, student_id=student_id)


def show(service: ReviewService, cosmos: MemoryStore | None = None) -> None:
    """Adds, corrects and withdraws reviews; with a store in memory also while that is down."""
    first = service.add("12345", "fractions-7", 0.5, "Show how you got there.")
    service.correct(first, "12345", 0.75)
    if cosmos is not None:
        cosmos.is_down = True
        service.add("12345", "fractions-8", 1.0, "Complete.")
        cosmos.is_down = False
    for review in service.of_student("12345"):
        logging.info("%s: %s", review["problem_id"], review["score"])
    service.withdraw(first, "12345")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--container", help="cosmos://DATABASE/CONTAINER; default: stores in memory")
    parser.add_argument("--migration", default="students")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    spec = read_spec(SPEC)
    if chosen.container:
        with open_dual_store(spec, chosen.container, PARTITION_KEY, chosen.migration) as store:
            show(ReviewService(store))
        return
    cosmos, firestore = MemoryStore("cosmos"), MemoryStore("firestore")
    kind, phase = Kind.of(spec, PARTITION_KEY), FixedPhase("dual_write")
    with DualStore(kind, phase, cosmos=cosmos, firestore=firestore) as store:
        show(ReviewService(store), cosmos)


if __name__ == "__main__":
    main()
