"""Answers queries by looking at every document: slow, short, and independent of how the connector builds a query.

    documents ──collection──filter──order──cursors──offset, limit──▶ result ──▶ projected, aggregated or divided

There are no indexes, so no query fails for want of one. Source: `StructuredQuery`, `StructuredAggregationQuery` and
`PartitionQueryRequest` in the Firestore RPC reference.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from transforms.firestore import field_paths, messages
from transforms.firestore.client import RpcError
from transforms.testing.order import order_key
from transforms.testing.writes import find, number, put

_NAME = "__name__"
_INT64 = range(-(2**63), 2**63)
_COMPARISONS = {
    "EQUAL": operator.eq,
    "LESS_THAN": operator.lt,
    "LESS_THAN_OR_EQUAL": operator.le,
    "GREATER_THAN": operator.gt,
    "GREATER_THAN_OR_EQUAL": operator.ge,
}
_INEQUALITIES = {*_COMPARISONS, "NOT_EQUAL", "NOT_IN", "IS_NOT_NULL", "IS_NOT_NAN"} - {"EQUAL"}
_LISTED = {"IN", "NOT_IN", "ARRAY_CONTAINS_ANY"}
_FieldFilter = messages.StructuredQuery.FieldFilter
_UnaryFilter = messages.StructuredQuery.UnaryFilter
_DESCENDING = messages.StructuredQuery.DESCENDING
_OR = messages.StructuredQuery.CompositeFilter.OR


class _Order(NamedTuple):
    field: str
    descending: bool


class _Condition(NamedTuple):
    field: str
    operator: str
    operand: Any = None


def run(documents: Iterable[Any], parent: str, query: Any) -> list[Any]:
    """The documents that a `StructuredQuery` below `parent` finds, whole, in its order. Raises RpcError."""
    _check(query)
    orders = _full_order(query)
    found = [document for document in documents if _is_found(document, parent, query, orders)]
    for order in reversed(orders):
        found.sort(key=lambda document: order_key(_value(document, order.field)), reverse=order.descending)
    found = found[query.offset :]
    return found[: query.limit.value] if query.HasField("limit") else found


def membership(parent: str, query: Any) -> Callable[[Any], bool] | None:
    """Whether a query finds a document, if that does not depend on the others: None if it does. Raises RpcError."""
    _check(query)
    if query.offset or query.HasField("limit"):
        return None
    orders = _full_order(query)
    return lambda document: _is_found(document, parent, query, orders)


def projected(document: Any, paths: Sequence[str]) -> Any:
    """The document with the fields of a mask or projection only."""
    kept = messages.Document(name=document.name, create_time=document.create_time, update_time=document.update_time)
    for path in paths:
        names = field_paths.parse(path)
        if (value := find(document.fields, names)) is not None:
            put(kept.fields, names, value)
    return kept


def aggregated(documents: Sequence[Any], aggregations: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Alias and `Value` of each aggregation over the documents that have every field of theirs."""
    aggregations = list(aggregations)
    fields = [each.sum.field.field_path or each.avg.field.field_path for each in aggregations]
    counted = [each for each in documents if all(_value(each, field) is not None for field in fields if field)]
    for n, (aggregation, field) in enumerate(zip(aggregations, fields, strict=True), 1):
        alias = aggregation.alias or f"field_{n}"
        if not field:
            up_to = aggregation.count.up_to.value
            yield alias, messages.Value(integer_value=min(len(counted), up_to or len(counted)))
            continue
        numbers = [found for each in counted if (found := number(_value(each, field))) is not None]
        total = sum(numbers)
        if aggregation.HasField("avg"):
            yield alias, messages.Value(double_value=total / len(numbers)) if numbers else messages.Value(null_value=0)
        elif isinstance(total, int) and total in _INT64:
            yield alias, messages.Value(integer_value=total)
        else:
            yield alias, messages.Value(double_value=total)


def partition_cursors(documents: Iterable[Any], request: Any, documents_per_partition: int) -> list[str]:
    """The names that cut a collection group into parts of about the same size, in order. Raises RpcError."""
    query = request.structured_query
    selectors = [each for each in query.from_ if each.all_descendants]
    if not selectors or query.HasField("where") or query.HasField("limit"):
        raise RpcError("INVALID_ARGUMENT", "only a collection group without filters and limit can be partitioned")
    names = [document.name for document in run(documents, request.parent, query)]
    parts = min(request.partition_count + 1, len(names) // documents_per_partition)
    return [names[len(names) * part // parts] for part in range(1, parts)]


def _check(query: Any) -> None:
    if len(query.from_) != 1:
        raise RpcError("INVALID_ARGUMENT", f"a query reads one collection or group, got {len(query.from_)}")
    if query.HasField("find_nearest"):
        raise RpcError("UNIMPLEMENTED", "the scripted server does not search vectors")
    for condition in _conditions(query.where):
        if condition.operator in _LISTED and not condition.operand.array_value.values:
            raise RpcError("INVALID_ARGUMENT", f"{condition.operator} needs a list of at least one value")
    for cursor in (query.start_at, query.end_at):
        if len(cursor.values) > len(_full_order(query)):
            raise RpcError("INVALID_ARGUMENT", "a cursor has more values than the query has orders")


def _is_found(document: Any, parent: str, query: Any, orders: Sequence[_Order]) -> bool:
    return (
        _is_selected(document.name, parent, query.from_[0])
        and _matches(query.where, document)
        and all(_value(document, order.field) is not None for order in orders)
        and (not query.HasField("start_at") or _is_behind(document, query.start_at, orders))
        and not (query.HasField("end_at") and _is_behind(document, query.end_at, orders))
    )


def _is_selected(name: str, parent: str, selector: Any) -> bool:
    collection = name.rpartition("/")[0]
    if not selector.all_descendants:
        return collection == f"{parent}/{selector.collection_id}"
    return collection.rpartition("/")[2] == selector.collection_id and name.startswith(f"{parent}/")


def _full_order(query: Any) -> list[_Order]:
    """The orders given, then the fields of inequalities, then the name, which decides every tie."""
    orders = [_Order(each.field.field_path, each.direction == _DESCENDING) for each in query.order_by]
    last = orders[-1].descending if orders else False
    unequal = {each.field for each in _conditions(query.where) if each.operator in _INEQUALITIES}
    for field in (*sorted(unequal - {_NAME}), _NAME):
        if field not in [order.field for order in orders]:
            orders.append(_Order(field, last))
    return orders


def _conditions(where: Any) -> Iterator[_Condition]:
    for inner in where.composite_filter.filters:
        yield from _conditions(inner)
    if where.WhichOneof("filter_type") in ("field_filter", "unary_filter"):
        yield _condition(where)


def _condition(where: Any) -> _Condition:
    if where.HasField("unary_filter"):
        unary = where.unary_filter
        return _Condition(unary.field.field_path, _UnaryFilter.Operator.Name(unary.op))
    each = where.field_filter
    return _Condition(each.field.field_path, _FieldFilter.Operator.Name(each.op), each.value)


def _matches(where: Any, document: Any) -> bool:
    if where.HasField("composite_filter"):
        combined = any if where.composite_filter.op == _OR else all
        return combined(_matches(inner, document) for inner in where.composite_filter.filters)
    if where.WhichOneof("filter_type") is None:
        return True
    condition = _condition(where)
    found = _value(document, condition.field)
    return found is not None and _holds(condition, found)


def _holds(condition: _Condition, found: Any) -> bool:
    kind, key = condition.operator, order_key(found)
    is_null, is_nan = bool(found.HasField("null_value")), found.double_value != found.double_value
    if condition.operand is None:
        is_neither = not is_null and not is_nan
        return bool({"IS_NULL": is_null, "IS_NOT_NULL": not is_null, "IS_NAN": is_nan}.get(kind, is_neither))
    wanted = order_key(condition.operand)
    listed = [order_key(each) for each in condition.operand.array_value.values]
    items = [order_key(each) for each in found.array_value.values]
    if kind.startswith("ARRAY_CONTAINS"):
        return wanted in items if kind == "ARRAY_CONTAINS" else any(each in items for each in listed)
    if is_null:
        return False  # null is found by IS_NULL only
    if kind in ("IN", "NOT_IN"):
        return (key in listed) == (kind == "IN")
    if kind == "NOT_EQUAL":
        return key != wanted
    return key[0] == wanted[0] and bool(_COMPARISONS[kind](key, wanted))


def _is_behind(document: Any, cursor: Any, orders: Sequence[_Order]) -> bool:
    """Whether a document comes behind a cursor; one at the cursor does if the cursor is before it."""
    for order, value in zip(orders, cursor.values, strict=False):
        own, its = order_key(_value(document, order.field)), order_key(value)
        if own != its:
            return (own < its) == order.descending
    return bool(cursor.before)


def _value(document: Any, field: str) -> Any | None:
    if field == _NAME:
        return messages.Value(reference_value=document.name)
    return find(document.fields, field_paths.parse(field))
