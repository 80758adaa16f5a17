"""What can be done to one document: plain, frozen, picklable values.

    Set("users/ada", {"name": "Ada"})                            the document is exactly this
    Merge("users/ada", {"address": {"city": "London"}})          these leaves; all others stay
    Update("users/ada", {"name": "Ada"}, mask=("name", "age"))   an existing document; age, without a value, is removed
    Create("users/ada", {"name": "Ada"})                         only if there is no such document
    Delete("users/ada")                                          whether there is one or not

    Set("users/ada", {}, transforms={"seen_at": ServerTimestamp(), "tags": ArrayUnion(("new",))})
    Delete("users/ada", update_time=document.update_time)        only if nobody changed it since

Building one checks nothing, so that one bad element cannot fail a bundle: the transforms check, and turn it into a dead
letter. A path is relative to the database: COLLECTION/ID, or deeper. The repr shows no values: they do not belong in
logs.

Idempotent are Set, Merge, Update and Delete: done twice they leave the same document. Not idempotent are `Increment`,
which adds again, and `Create`, which finds its own document; a runner may do a bundle twice. An `update_time` makes any
write safe: the second time it is refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class ServerTimestamp:
    """The time at which Firestore took the request, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Increment:
    """Adds to a number; an absent field counts as 0. Not idempotent: sent or done twice, it adds twice."""

    amount: int | float


@dataclass(frozen=True, slots=True)
class Maximum:
    """The larger of the field and this number."""

    bound: int | float


@dataclass(frozen=True, slots=True)
class Minimum:
    """The smaller of the field and this number."""

    bound: int | float


@dataclass(frozen=True, slots=True)
class ArrayUnion:
    """Appends the items that the array lacks."""

    items: Sequence[Any]


@dataclass(frozen=True, slots=True)
class ArrayRemove:
    """Removes the items wherever they occur."""

    items: Sequence[Any]


FieldTransform: TypeAlias = ServerTimestamp | Increment | Maximum | Minimum | ArrayUnion | ArrayRemove
Transforms: TypeAlias = Mapping[str, FieldTransform]


@dataclass(frozen=True, slots=True)
class Set:
    """Writes a whole document: afterwards it has these fields and no others.

    Attributes:
      path: COLLECTION/ID, relative to the database.
      fields: values by name, nested as they are.
      transforms: by field path; done after the fields are written.
      exists: write only if the document does, or does not, exist.
      update_time: write only if the document was last changed then.
    """

    path: str
    fields: Mapping[str, Any] = field(repr=False)
    transforms: Transforms | None = field(default=None, repr=False)
    exists: bool | None = None
    update_time: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Writes every leaf of `fields`, whether the document exists or not; others stay. Attributes as in Set."""

    path: str
    fields: Mapping[str, Any] = field(repr=False)
    transforms: Transforms | None = field(default=None, repr=False)
    exists: bool | None = None
    update_time: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Writes some fields of a document that exists.

    Attributes:
      path, fields, transforms, update_time: as in Set.
      mask: field paths that are written; one without a value in `fields` is removed. Default: the fields of
        the top level, each as a whole.
    """

    path: str
    fields: Mapping[str, Any] = field(repr=False)
    mask: Sequence[str] | None = None
    transforms: Transforms | None = field(default=None, repr=False)
    update_time: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """Writes a document that does not exist yet. Attributes as in Set."""

    path: str
    fields: Mapping[str, Any] = field(repr=False)
    transforms: Transforms | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes a document, not those below it. Attributes as in Set."""

    path: str
    exists: bool | None = None
    update_time: datetime.datetime | None = None


Operation: TypeAlias = Set | Merge | Update | Create | Delete


def adds_again(operation: Operation) -> bool:
    """Whether doing it twice adds twice: it increments, and no `update_time` stops the second time."""
    if isinstance(operation, Delete) or not operation.transforms:
        return False
    increments = any(isinstance(transform, Increment) for transform in operation.transforms.values())
    return increments and (isinstance(operation, Create) or operation.update_time is None)


def replaces_earlier(operation: Operation) -> bool:
    """Whether the document afterwards does not depend on what it was before, so that it replaces earlier writes."""
    if isinstance(operation, Set):
        return not operation.transforms and operation.exists is None and operation.update_time is None
    return isinstance(operation, Delete) and operation.exists is None and operation.update_time is None
