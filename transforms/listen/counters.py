"""What the listen job counts: changes, per stream and for as long as the stream is kept. Plain data."""

from __future__ import annotations

from transforms.counters import BYTES_READ, Counter, Counters, Role

ADDED, MODIFIED, REMOVED = "added", "modified", "removed"

CHANGES = Counters(
    "streams",
    (
        Counter("read", "taken from the streams", unit="changes", role=Role.TOTAL, metric="changes_read"),
        Counter("written", "that every sink took", unit="changes", role=Role.PART, metric="changes_written"),
        Counter("unchanged", "that no sink wants, or that sinks have", unit="changes", role=Role.PART),
        Counter("superseded", "that a newer one replaces", unit="changes", role=Role.PART),
        Counter(
            "dead_letter_count",
            "that the spec or a sink refused, kept as dead letters",
            unit="changes",
            role=Role.PART,
            key="dead_letters",
            metric="dead_letters",
            is_watched=True,
        ),
        Counter(ADDED, "of documents that are new in their stream", unit="changes"),
        Counter(MODIFIED, "of documents that were there in another version", unit="changes"),
        Counter(REMOVED, "of documents that are gone, or left their stream", unit="changes"),
        Counter("retries", "sent again after a transient failure", unit="requests", is_watched=True),
        Counter(BYTES_READ, "of the documents", unit="bytes"),
    ),
    kept_in_streams=True,
)
