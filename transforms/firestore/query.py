"""What to read: a collection or a collection group, filtered, ordered, limited, projected. A plain, picklable value.

    Query("users")                                           a collection
    Query("users/ada/posts")                                 a collection below a document
    Query.group("posts")                                     every collection of that id
    Query.group("posts", parent="users/ada")                 … below one document
    Query("users").where("age", ">=", 21).where("city", "in", ["London", "Paris"])
    Query("users").where_any(("city", "==", "London"), ("age", "<", 3))
    Query("users").order_by("age", descending=True).limit(10).select("name", "address.city")

Every method returns a new query and refuses what Firestore would, as far as a query alone can tell. Field paths are
written as in Firestore's documentation: `address.city`; names with other characters in backticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from transforms.errors import RecordError, UsageError
from transforms.firestore import field_paths
from transforms.firestore.document_order import numeric_id
from transforms.firestore.names import check_document_id
from transforms.firestore.values import encode

NAME = "__name__"
MAX_DISJUNCTIONS = 30  # of a query in its disjunctive normal form; "Query limitations" in the documentation

_EQUALITIES = {
    "==": "EQUAL",
    "in": "IN",
    "array-contains": "ARRAY_CONTAINS",
    "array-contains-any": "ARRAY_CONTAINS_ANY",
}
_INEQUALITIES = {
    "<": "LESS_THAN",
    "<=": "LESS_THAN_OR_EQUAL",
    ">": "GREATER_THAN",
    ">=": "GREATER_THAN_OR_EQUAL",
    "!=": "NOT_EQUAL",
    "not-in": "NOT_IN",
}
OPERATORS = {**_EQUALITIES, **_INEQUALITIES}
_LIST_OPERATORS = frozenset({"in", "array-contains-any", "not-in"})


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with a value.

    Attributes:
      field: field path, or `__name__`, which is compared with document paths.
      operator: ==, !=, <, <=, >, >=, in, not-in, array-contains or array-contains-any; underscores will do, too.
      value: any value of the codec; a list for in, not-in and array-contains-any.
    """

    field: str
    operator: str
    value: Any

    def __post_init__(self) -> None:
        check_field(self.field)
        object.__setattr__(self, "operator", self.operator.replace("_", "-"))
        if self.operator not in OPERATORS:
            raise UsageError(f"an operator must be one of {', '.join(OPERATORS)}, got {self.operator!r}")
        if self.operator in _LIST_OPERATORS:
            object.__setattr__(self, "value", self._listed())
        elif self.is_unary and self.operator not in ("==", "!="):
            raise UsageError(f"where({self.field!r}, {self.operator!r}, …): null and NaN take only == and !=")
        if self.field == NAME:
            self._check_names()
        try:
            encode(self.operand)
        except RecordError as error:
            raise UsageError(f"where({self.field!r}, {self.operator!r}, …): {error}") from None

    @property
    def operand(self) -> Any:
        """The value as the codec takes it."""
        return list(self.value) if self.operator in _LIST_OPERATORS else self.value

    @property
    def is_unary(self) -> bool:
        """Whether it asks for null or NaN, which Firestore does not compare but test."""
        return self.value is None or (isinstance(self.value, float) and self.value != self.value)

    @property
    def is_inequality(self) -> bool:
        """Whether it needs the index in the order of its field."""
        return self.operator in _INEQUALITIES

    def _listed(self) -> tuple[Any, ...]:
        if not isinstance(self.value, (list, tuple)) or not 1 <= len(self.value) <= MAX_DISJUNCTIONS:
            raise UsageError(
                f"where({self.field!r}, {self.operator!r}, …) needs a list of 1 to {MAX_DISJUNCTIONS} values"
            )
        return tuple(self.value)

    def _check_names(self) -> None:
        if self.operator.startswith("array"):
            raise UsageError(f"{NAME} is not an array; compare it by ==, !=, <, <=, >, >=, in or not-in")
        for path in self.value if self.operator in _LIST_OPERATORS else (self.value,):
            check_document_path(path)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions of which at least one must hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A field that the result is ordered by."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A query; built by its methods, see the module's examples.

    Attributes:
      collection: path of a collection, `users` or `users/ada/posts`; of a collection group, its id.
      all_descendants: whether it is a collection group.
      parent: path of the document below which a group is read; empty for the whole database.
      filters: all of them must hold.
      orders: as given; `full_order` is what Firestore makes of it.
      max_documents: None for no limit.
      selected: field paths; None for whole documents.
    """

    collection: str
    all_descendants: bool = False
    parent: str = ""
    filters: tuple[Condition | AnyOf, ...] = ()
    orders: tuple[Order, ...] = ()
    max_documents: int | None = None
    selected: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.all_descendants:
            _check_segments(self.collection)
            if "/" in self.collection:
                raise UsageError(f"a collection group is named by its id alone, got {self.collection!r}")
            if self.parent:
                check_document_path(self.parent)
        else:
            check_collection_path(self.collection)
            if self.parent:
                raise UsageError("only a group has a parent; write Query('users/ada/posts') for a collection")

    @classmethod
    def group(cls, collection_id: str, parent: str = "") -> Query:
        """Every collection of this id; with `parent` only those below that document."""
        return cls(collection_id, all_descendants=True, parent=parent)

    def where(self, field: str, operator: str, value: Any) -> Query:
        """Documents for which this holds, too. Raises UsageError."""
        return replace(self, filters=(*self.filters, Condition(field, operator, value)))

    def where_any(self, *conditions: tuple[str, str, Any]) -> Query:
        """Documents for which at least one of the conditions holds, too. Raises UsageError."""
        if len(conditions) < 2:
            raise UsageError(f"where_any needs at least two conditions, got {len(conditions)}; use where for one")
        return replace(self, filters=(*self.filters, AnyOf(tuple(Condition(*each) for each in conditions))))

    def order_by(self, field: str, *, descending: bool = False) -> Query:
        """Ordered by this field, after those given before. Documents without the field are left out."""
        check_field(field)
        earlier = [order.field for order in self.orders]
        if field in earlier:
            raise UsageError(f"order_by({field!r}) is given twice")
        if NAME in earlier:
            raise UsageError(f"order_by({NAME!r}) decides every tie, so it must be the last; {field!r} comes after it")
        return replace(self, orders=(*self.orders, Order(field, descending)))

    def limit(self, max_documents: int) -> Query:
        """At most so many documents."""
        if max_documents < 1:
            raise UsageError(f"limit must be at least 1, got {max_documents}")
        return replace(self, max_documents=max_documents)

    def select(self, *fields: str) -> Query:
        """Documents with these fields only; without any, only their names and times."""
        for field in fields:
            check_field(field)
        return replace(self, selected=fields)

    @property
    def collection_id(self) -> str:
        """The last segment of the collection's path."""
        return self.collection.rpartition("/")[2]

    @property
    def parent_path(self) -> str:
        """Path of the document below which the query runs; empty for the database itself."""
        return self.parent if self.all_descendants else self.collection.rpartition("/")[0]

    @property
    def shared_segments(self) -> int:
        """How many segments the names of all its documents begin with alike.

        >>> Query("users/ada/posts").shared_segments, Query.group("posts").shared_segments
        (3, 0)
        """
        common = self.parent if self.all_descendants else self.collection
        return common.count("/") + 1 if common else 0

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of all filters."""
        each = ((item,) if isinstance(item, Condition) else item.conditions for item in self.filters)
        return tuple(condition for conditions in each for condition in conditions)

    @property
    def full_order(self) -> tuple[Order, ...]:
        """The order Firestore gives the result, spelt out: no two documents tie.

        Fields of inequalities are appended by name, then the document's name, all in the last direction given. Source:
        `StructuredQuery.order_by` in the Firestore RPC reference.

        >>> Query("users").where("b", ">", 1).where("a", "!=", 2).order_by("c", descending=True).full_order[1:]
        (Order(field='a', descending=True), Order(field='b', descending=True), Order(field='__name__', descending=True))
        """
        if any(order.field == NAME for order in self.orders):
            return self.orders
        given = {order.field for order in self.orders}
        implied = {condition.field for condition in self.conditions if condition.is_inequality} - given - {NAME}
        last = self.orders[-1].descending if self.orders else False
        appended = (Order(field, last) for field in (*sorted(implied, key=field_paths.parse), NAME))
        return (*self.orders, *appended)

    @property
    def is_in_name_order(self) -> bool:
        """Whether documents come by ascending name, so that the last name alone says where to go on."""
        return self.full_order == (Order(NAME),)

    @property
    def is_divisible(self) -> bool:
        """Whether ranges of names can be read apart: by name, without a limit.

        Filters on equality are then answered from single-field indexes, which are kept in name order; an inequality
        brings the order of its field.
        """
        return self.is_in_name_order and self.max_documents is None

    def holds(self, path: str) -> bool:
        """Whether the document at `path` lies in the collection or group, filters aside."""
        collection = path.rpartition("/")[0]
        if not self.all_descendants:
            return collection == self.collection
        inside = not self.parent or path.startswith(f"{self.parent}/")
        return inside and collection.rpartition("/")[2] == self.collection


def check_field(field: str) -> None:
    """Raises UsageError unless `field` is a field path or `__name__`."""
    try:
        field_paths.parse(field)
    except RecordError as error:
        raise UsageError(error.message) from None


def check_collection_path(path: str) -> None:
    """Raises UsageError unless `path` names a collection: an odd number of segments.

    >>> check_collection_path("users/ada")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    transforms.errors.UsageError: 'users/ada' names a document; did you mean its collection, users, or one ...
    """
    if len(_check_segments(path)) % 2 == 0:
        raise UsageError(
            f"{path!r} names a document; did you mean its collection, {path.rpartition('/')[0]}, "
            f"or one below it, {path}/COLLECTION?"
        )


def check_document_path(path: str) -> None:
    """Raises UsageError unless `path` names a document: an even number of segments, relative to the database."""
    if not isinstance(path, str) or len(_check_segments(path)) % 2:
        raise UsageError(f"{path!r} names no document; a document has an even number of segments, users/ada")


def _check_segments(path: str) -> Sequence[str]:
    segments = path.split("/")
    for segment in segments:
        if numeric_id(segment) is not None:
            continue  # reserved, but what Datastore's numeric ids look like
        try:
            check_document_id(segment)
        except RecordError as error:
            raise UsageError(f"{path!r} is not a path: {error.message.replace('document id', 'segment')}") from None
    return segments
