"""Commits batches of atomic groups: every group has one outcome, in the order given.

Plain Python, no Beam: a DoFn, a command or a test may own one. The groups are taken from an iterator, so that the next
request is encoded while the last ones are on the wire. Packing, retrying and halving are the Outbox's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from transforms.errors import JobError, TransientError
from transforms.firestore.client import FirestoreClient
from transforms.firestore.outbox import Outbox
from transforms.firestore.outcomes import Conflicted as Conflicted
from transforms.firestore.outcomes import Landed as Landed
from transforms.firestore.outcomes import Outcome
from transforms.firestore.outcomes import Refused as Refused
from transforms.firestore.packing import AtomicGroup as AtomicGroup
from transforms.firestore.packing import RequestLimits
from transforms.firestore.qos import QualityOfService
from transforms.firestore.senders import CommitSender
from transforms.retry import Retry

CommitLimits: TypeAlias = RequestLimits


class CommitReport(NamedTuple):
    """One outcome per group, in the order given; the number of requests that were sent again; and the seconds for which
    quality of service delayed requests."""

    outcomes: list[Outcome]
    retries: int
    throttled_s: float = 0.0


class Committer:
    """Commits atomic groups of writes.

    Args:
      client: where to.
      limits: what one Commit may hold.
      retry: of a request that failed transiently.
      qos: how fast; default: as fast as possible.
    """

    def __init__(
        self,
        client: FirestoreClient,
        limits: CommitLimits | None = None,
        retry: Retry | None = None,
        qos: QualityOfService | None = None,
    ):
        self._sender = CommitSender(client)
        self._limits = limits or CommitLimits()
        self._retry = retry or Retry()
        self._qos = qos or QualityOfService()

    def commit(self, groups: Iterable[AtomicGroup], *, guarded: bool = False) -> CommitReport:
        """Commits every group and says what became of each.

        Args:
          groups: in the order of their outcomes.
          guarded: they carry preconditions, and the caller reads again when a Commit met a conflict: its groups are
            Conflicted then. Otherwise a conflict is a refusal like any other, and halving finds the group at fault.

        Raises:
          TransientError: a request failed `retry.max_attempts` times. What was acknowledged before stays written.
          JobError: credentials, permission or database; or every group was refused alike, see `RequestLimits`.
        """
        outbox = Outbox[int](self._sender, self._limits, self._retry, self._qos, guarded=guarded)
        for position, group in enumerate(groups):
            outbox.put(position, group)
        outbox.flush()
        by_position = {resolved.item: resolved.outcome for resolved in outbox.take_resolved()}
        outcomes = [by_position[position] for position in range(len(by_position))]
        _refuse_contended(outcomes)
        if self._limits.stop_at_refused_alike is not None:
            _refuse_unanimous(outcomes, self._limits.stop_at_refused_alike)
        return CommitReport(outcomes, outbox.retries, outbox.throttled_s)


def _refuse_contended(outcomes: list[Outcome]) -> None:
    """Raises TransientError if others kept changing the documents of a group; doing the batch again may help."""
    for outcome in outcomes:
        if isinstance(outcome, Refused) and outcome.retryable:
            raise TransientError(
                f"Firestore did not take a Commit in {outcome.attempts} attempts; the last answer was "
                f"{outcome.code}: {outcome.message}"
            )


def _refuse_unanimous(outcomes: list[Outcome], at_least: int) -> None:
    """Raises JobError if every group was refused, for one reason, and they are too many for a coincidence."""
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    if len(refusals) == len(outcomes) >= at_least and len({refusal.code for refusal in refusals}) == 1:
        first = refusals[0]
        raise JobError(
            f"Firestore refused all {len(outcomes)} writes of a batch alike, so it is not the records that are wrong: "
            f"{first.code}: {first.message}"
        )
