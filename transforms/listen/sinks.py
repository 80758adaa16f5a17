"""Where changes go beside BigQuery: what a sink is. Plain Python; the step that drives one is in `write.py`.

    Batch[Changed] ──ChangeWriter.write──▶ Batch[Changed]      what was refused is a dead letter, all else continues

A sink is plain data and travels with the job; the writer it opens belongs to one worker. `write` returns when the sink
has answered for every change of the batch, because a position is saved then.
"""

from __future__ import annotations

from typing import Protocol

from transforms.batch import Batch
from transforms.listen.entries import Changed


class ChangeWriter(Protocol):
    """Writes batches of changes, one after the other."""

    def write(self, batch: Batch[Changed]) -> Batch[Changed]:
        """The batch once every change has its answer.

        Raises:
          TransientError: the sink does not answer; the bundle fails and the changes come again.
          JobError: no change can succeed.
        """

    def close(self) -> None:
        """Gives back what it holds."""


class ChangeSink(Protocol):
    """Where changes go. Picklable."""

    @property
    def step(self) -> str:
        """Label of the step, and of its dead letters, such as `PublishChanges`."""

    def open(self) -> ChangeWriter:
        """A writer, in the worker."""
