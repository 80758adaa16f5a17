"""The entry of a batch of documents on its way into BigQuery. Plain, frozen, picklable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from transforms.firestore.documents import Document


class Exported(NamedTuple):
    """A document on its way into BigQuery; `unchanged` if the table holds this very version.

    Attributes:
      key: the document's path.
      position: as in `Record`.
      parameters: values of the path parameters of the pattern that the document was found by.
    """

    key: str
    position: int
    document: Document
    parameters: Mapping[str, str]
    line: int | None = None
    unchanged: bool = False
