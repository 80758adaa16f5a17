"""How Beam handles batches: pickled when they leave a worker, and never only to find out how large they are.

Beam samples the size of what flows between fused steps by encoding it, the first elements of a bundle all of them. With
records as elements that is nothing; a batch of 500 would be pickled behind almost every step, for nobody to read. So a
batch's size is that of its first record, times how many there are.

A registration is a side effect of an import, so it stands beside the steps that give batches of that kind: a job that
has such batches has imported them.
"""

import abc
import pickle
from typing import Any

from apache_beam.coders.coders import Coder
from apache_beam.coders.typecoders import registry

from transforms.batch import Batch


class SampledCoder(Coder, abc.ABC):
    """Pickles what holds many things; estimates its size by one of them."""

    @abc.abstractmethod
    def sample(self, value: Any) -> tuple[Any, int]:
        """One of the things, and how many there are."""

    def encode(self, value: Any) -> bytes:
        """All of it."""
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def decode(self, encoded: bytes) -> Any:
        """What `encode` made; only ever of this job's own workers."""
        return pickle.loads(encoded)  # noqa: S301

    def estimate_size(self, value: Any) -> int:
        """Bytes, roughly."""
        sample, n_things = self.sample(value)
        return len(pickle.dumps(sample, pickle.HIGHEST_PROTOCOL)) * n_things

    def is_deterministic(self) -> bool:
        """No: equal batches may be pickled differently, so they cannot be keys."""
        return False


class BatchCoder(SampledCoder):
    """For batches of records."""

    def sample(self, value: Batch[Any]) -> tuple[Any, int]:
        """The first record, or else the first dead letter."""
        entries, dead_letters = value.entries, value.dead_letters
        sample = entries[0] if entries else dead_letters[0] if dead_letters else None
        return sample, len(entries) + len(dead_letters)


def register_batches(*entries: type) -> None:
    """Makes Beam handle batches of these entries so. Called by the module whose steps give such batches."""
    for entry in entries:
        registry.register_coder(Batch[entry], BatchCoder)  # type: ignore[valid-type]
