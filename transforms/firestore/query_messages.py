"""A `Query` as Firestore's own message, whole or from the document where an earlier stream of it ended.

The order is always spelt out to the document's name: then a cursor with a value for each part of it means one place,
whatever the server would have implied.
"""

from __future__ import annotations

from typing import Any

from transforms.firestore import field_paths, messages
from transforms.firestore.query import NAME, OPERATORS, AnyOf, Condition, Order, Query
from transforms.firestore.ranges import Bound, NameRange
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import Reference, encode

_Filter = messages.StructuredQuery.Filter
_UNARY = {"==": ("IS_NULL", "IS_NAN"), "!=": ("IS_NOT_NULL", "IS_NOT_NAN")}


def parent_name(query: Query, target: FirestoreTarget) -> str:
    """The name below which the query runs."""
    return target.document_name(query.parent_path).rstrip("/")


def structured_query(query: Query, target: FirestoreTarget, span: NameRange) -> Any:
    """The `StructuredQuery` of the documents of `query` whose names lie in `span`; its limit is left to the caller.

    Only a query in name order may have a span.
    """
    message = messages.StructuredQuery()
    message.from_.add(collection_id=query.collection_id, all_descendants=query.all_descendants)
    if query.selected is not None:
        for field in (*(query.selected or (NAME,)), *added_fields(query)):
            message.select.fields.add(field_path=field)
    if query.filters:
        message.where.CopyFrom(_composite("AND", [_filter(each, target) for each in query.filters]))
    for order in query.full_order:
        direction = "DESCENDING" if order.descending else "ASCENDING"
        message.order_by.add(field={"field_path": order.field}, direction=direction)
    if span.start:
        _set_bound(message.start_at, span.start, target)
    if span.end:
        _set_bound(message.end_at, span.end, target)
    return message


def start_after(message: Any, order: tuple[Order, ...], document: Any) -> None:
    """Makes the query begin behind `document`, a protobuf `Document` of its result."""
    message.start_at.Clear()
    message.start_at.before = False
    for part in order:
        if part.field == NAME:
            message.start_at.values.add(reference_value=document.name)
        else:
            message.start_at.values.add().CopyFrom(_value_at(document, part.field))


def added_fields(query: Query) -> tuple[str, ...]:
    """Fields that a projection leaves out although a cursor needs them; they are read, and removed again."""
    if query.selected is None:
        return ()
    chosen = [field_paths.parse(field) for field in query.selected]
    needed = (order.field for order in query.full_order if order.field != NAME)
    return tuple(field for field in needed if not any(_covers(path, field_paths.parse(field)) for path in chosen))


def remove_field(document: Any, field: str) -> None:
    """Takes a field out of a protobuf `Document`, and the maps that it leaves empty."""
    _remove(document.fields, field_paths.parse(field))


def _remove(fields: Any, names: tuple[str, ...]) -> None:
    first, rest = names[0], names[1:]
    if first not in fields:
        return
    if rest:
        below = fields[first].map_value.fields
        _remove(below, rest)
        if below:
            return
    del fields[first]


def _covers(path: tuple[str, ...], field: tuple[str, ...]) -> bool:
    return field[: len(path)] == path


def _value_at(document: Any, field: str) -> Any:
    first, *rest = field_paths.parse(field)
    value = document.fields[first]
    for name in rest:
        value = value.map_value.fields[name]
    return value


def _set_bound(cursor: Any, bound: Bound, target: FirestoreTarget) -> None:
    cursor.before = not bound.after
    cursor.values.add(reference_value=target.document_name(bound.path))


def _filter(item: Condition | AnyOf, target: FirestoreTarget) -> Any:
    if isinstance(item, Condition):
        return _comparison(item, target)
    return _composite("OR", [_comparison(condition, target) for condition in item.conditions])


def _composite(operator: str, filters: list[Any]) -> Any:
    return filters[0] if len(filters) == 1 else _Filter(composite_filter={"op": operator, "filters": filters})


def _comparison(condition: Condition, target: FirestoreTarget) -> Any:
    field = {"field_path": condition.field}
    if condition.is_unary:
        test = _UNARY[condition.operator][condition.value is not None]
        return _Filter(unary_filter={"field": field, "op": test})
    value = encode(_operand(condition, target))
    return _Filter(field_filter={"field": field, "op": OPERATORS[condition.operator], "value": value})


def _operand(condition: Condition, target: FirestoreTarget) -> Any:
    if condition.field != NAME:
        return condition.operand
    if isinstance(condition.operand, list):
        return [Reference(target.document_name(path)) for path in condition.operand]
    return Reference(target.document_name(condition.operand))
