"""Where the two documents of a record go, and how they are written. Plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from transforms.firestore.target import FirestoreTarget
from transforms.upsert.modes import MODES, VERSIONED

# The field of both documents that Firebeam keeps for itself; see `pairs.py`.
META_FIELD = "_meta"


@dataclass(frozen=True)
class PairLayout:
    """The pairs of one record spec in one database.

    Attributes:
      target: the database.
      full_collection: collection of the whole records.
      flat_collection: collection of their flat forms.
      schema_version: of the spec.
      mode: versioned, overwrite, merge or create_only.
      keep_versions: how many states of the full document are kept beside it; 0 for none.
    """

    target: FirestoreTarget
    full_collection: str
    flat_collection: str
    schema_version: int
    mode: str = VERSIONED
    keep_versions: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if self.keep_versions and self.mode != VERSIONED:
            raise ValueError(f"keep_versions needs the mode {VERSIONED}, got {self.mode}")

    @cached_property
    def full_prefix(self) -> str:
        """The full documents' names up to the id."""
        return self.target.document_name(self.full_collection) + "/"

    @cached_property
    def flat_prefix(self) -> str:
        """The flat documents' names up to the id."""
        return self.target.document_name(self.flat_collection) + "/"

    @property
    def writes_per_pair(self) -> int:
        """How many writes a pair takes at most."""
        return 4 if self.keep_versions else 2

    def names(self, keys: Iterable[str]) -> list[str]:
        """The names of both documents of every id."""
        prefixes = (self.full_prefix, self.flat_prefix)
        return [prefix + key for key in keys for prefix in prefixes]
