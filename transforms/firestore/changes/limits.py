"""How large a batch of changes may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a batch may be.

    Attributes:
      changes: how many changes.
      n_bytes: of their documents; a single larger one is a batch of its own.
    """

    changes: int = 500
    n_bytes: int = 16 * 1024 * 1024


DEFAULT_LIMITS = Limits()
