"""The names that a listened query has, with their versions: at most so many, in memory only.

It tells an added document from a modified one, says which version a deleted one had, and finds deletes that the service
does not report. It may be lost at any time: Firestore itself remembers what was there at a position.
"""

from __future__ import annotations

from collections.abc import Iterable


class NameCache:
    """Update times by path, as long as there are not too many.

    Args:
      max_names: with more documents nothing is remembered.

    Attributes:
      versions: update times in microseconds by path; None where they are not known.
    """

    def __init__(self, max_names: int):
        self.max_names = max_names
        self.versions: dict[str, int] | None = None

    def replace(self, versions: Iterable[tuple[str, int]] | None) -> None:
        """These are all the names now; None where they are not known."""
        self.versions = None if versions is None else dict(versions)
        self._bound()

    def change(self, changed: Iterable[tuple[str, int]], removed: Iterable[str]) -> int | None:
        """Documents got new versions, and others were removed. Returns how many there are; None if not known."""
        if self.versions is None:
            return None
        self.versions.update(changed)
        for path in removed:
            self.versions.pop(path, None)
        n_names = len(self.versions)
        self._bound()
        return n_names

    def _bound(self) -> None:
        if self.versions is not None and len(self.versions) > self.max_names:
            self.versions = None
