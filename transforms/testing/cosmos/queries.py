"""Queries: what a partition answers, and the plan by which a client puts several answers together. Plain Python.

no range, no key     simple query ──▶ all partitions, page by page
                     anything else ──▶ 400, 1004: the client asks for a plan
plan                 what to merge, and the query to send to each partition: ours is the same one behind a mark
one range or key     items in their order; ordered, counted or cut as the mark asks
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from transforms.testing.cosmos.answers import CONTINUATION, NEEDS_QUERY_PLAN, Answer, RefusedError, encoded
from transforms.testing.cosmos.container import Change, Container
from transforms.testing.cosmos.keys import HIGHEST, LOWEST
from transforms.testing.cosmos.sql import AGGREGATES, Select, parse_query
from transforms.testing.cosmos.sql_values import UNDEFINED, is_true, sort_key, value_of

# Stands before a query that is one partition's part of a merged one.
_PART = "part of a merged query:"
_DEFAULT_COUNT = 100


def query_plan(body: Mapping[str, Any]) -> Answer:
    """How a client merges the answers of partitions."""
    select, text, _ = _parsed(body)
    info = {
        "distinctType": "Unordered" if select.is_distinct else "None",
        "top": select.top,
        "offset": select.offset,
        "limit": select.limit,
        "orderBy": ["Descending" if descends else "Ascending" for _, descends in select.order_by],
        "orderByExpressions": ["" for _ in select.order_by],
        "aggregates": [AGGREGATES[select.aggregate]] if select.aggregate else [],
        "hasSelectValue": select.is_value,
        "rewrittenQuery": _PART + text if select.needs_plan else "",
    }
    ranges = [{"min": LOWEST, "max": HIGHEST, "isMinInclusive": True, "isMaxInclusive": False}]
    plan = {"partitionedQueryExecutionInfoVersion": 2, "queryInfo": info, "queryRanges": ranges}
    return Answer(200, encoded(plan))


def run_query(
    container: Container,
    changes: Iterable[Change],
    body: Mapping[str, Any],
    *,
    is_scoped: bool,
    max_count: int,
    after: int,
) -> Answer:
    """One page of an answer.

    Args:
      changes: the items of the scope.
      is_scoped: whether that is one partition or one key.
      max_count: the header x-ms-max-item-count; below 1 for the server's own.
      after: how many results earlier pages had.

    Raises:
      RefusedError: the query is wrong, or has to be planned.
    """
    select, _, is_part = _parsed(body)
    if select.needs_plan and not is_scoped:
        raise RefusedError(400, "Cross partition query needs a query plan", NEEDS_QUERY_PLAN)
    found = [change.item for change in changes if is_true(select.where, change.item)]
    results = _results(select, found, is_part)
    count = max_count if max_count > 0 else _DEFAULT_COUNT
    page = results[after : after + count]
    headers = {"x-ms-item-count": str(len(page))}
    if after + count < len(results):
        headers[CONTINUATION] = str(after + count)
    answer = encoded({"_rid": container.rid, "Documents": page, "_count": len(page)})
    return Answer(200, answer, headers, round(2.3 + len(answer) / 1024 * 0.1, 2))


def _parsed(body: Mapping[str, Any]) -> tuple[Select, str, bool]:
    text = str(body.get("query", ""))
    parameters = {str(each["name"]): each.get("value") for each in body.get("parameters") or ()}
    own = text.removeprefix(_PART)
    return parse_query(own, parameters), own, own != text


def _results(select: Select, found: list[dict[str, Any]], is_part: bool) -> list[Any]:
    if select.aggregate:
        values = [value_of(select.values[0][1], item) for item in found]
        result = _aggregated(select.aggregate, [each for each in values if each is not UNDEFINED], is_part)
        return [[{"item": result}] if is_part else result] if result is not UNDEFINED else []
    for expression, descends in reversed(select.order_by):
        found.sort(key=lambda item: sort_key(value_of(expression, item)), reverse=descends)  # used at once
    rows = [(item, _selected(select, item)) for item in found]
    rows = [row for row in rows if row[1] is not UNDEFINED]
    if select.is_distinct:
        rows = list({repr(sort_key(row[1])): row for row in rows}.values())
    cut = select.top if select.top is not None else select.limit
    if cut is not None:
        first = select.offset or 0
        rows = rows[: first + cut] if is_part else rows[first : first + cut]
    if is_part and select.order_by:
        return [_ordered(select, item, row) for item, row in rows]
    return [row for _, row in rows]


def _selected(select: Select, item: dict[str, Any]) -> Any:
    if not select.values:
        return item
    if select.is_value:
        return value_of(select.values[0][1], item)
    members = {name: value_of(expression, item) for name, expression in select.values}
    return {name: value for name, value in members.items() if value is not UNDEFINED}


def _ordered(select: Select, item: dict[str, Any], row: Any) -> dict[str, Any]:
    keys = [value_of(expression, item) for expression, _ in select.order_by]
    return {
        "_rid": item["_rid"],
        "orderByItems": [{} if key is UNDEFINED else {"item": key} for key in keys],
        "payload": row,
    }


def _aggregated(name: str, values: list[Any], is_part: bool) -> Any:
    if name == "COUNT":
        return len(values)
    if name in ("MIN", "MAX"):
        return (min if name == "MIN" else max)(values, key=sort_key) if values else UNDEFINED
    if name == "AVG" and is_part:
        return {"sum": sum(values), "count": len(values)}
    if name == "AVG":
        return sum(values) / len(values) if values else UNDEFINED
    return sum(values)
