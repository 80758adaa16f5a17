"""What verify counts: documents, each once, whichever store has it. Plain data."""

from __future__ import annotations

from transforms.counters import BYTES_READ, Breakdown, Counter, Counters, Role

DOCUMENTS = Counters(
    "ranges",
    (
        Counter(
            "documents",
            "compared",
            unit="documents",
            role=Role.TOTAL,
            metric="documents_compared",
            formerly="read",
        ),
        Counter(
            "equal",
            "that both stores hold alike",
            unit="documents",
            role=Role.PART,
            metric="documents_equal",
            formerly="unchanged",
        ),
        Counter(
            "differences",
            "that one store lacks, or that are not the same in both, by kind",
            unit="documents",
            role=Role.PART,
            metric="documents_different",
            is_watched=True,
            breakdown=Breakdown(
                "differences_by",
                "has_differences",
                ("difference",),
                formerly=Breakdown("dead_letters", "has_dead_letters", ("code",)),
            ),
            formerly="dead_letter_count",
        ),
        Counter(
            "changed",
            "set aside because they changed during the run",
            unit="documents",
            role=Role.PART,
            metric="documents_changed",
            formerly="superseded",
        ),
        Counter(BYTES_READ, "scanned by BigQuery", unit="bytes"),
    ),
)
