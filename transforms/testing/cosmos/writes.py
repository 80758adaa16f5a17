"""Point reads and writes of items, alone and in batches: preconditions, conflicts, answers. Plain Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.testing.cosmos.answers import KEY_MISMATCH, Answer, RefusedError, encoded
from transforms.testing.cosmos.container import Change, Container
from transforms.testing.cosmos.items import SYSTEM_FIELDS, check_item
from transforms.testing.cosmos.patches import patched
from transforms.testing.cosmos.sql import parse_condition
from transforms.testing.cosmos.sql_values import is_true

MAX_BATCH = 100

_FAILED_DEPENDENCY = 424


@dataclass(frozen=True)
class Operation:
    """A read or a write of one item.

    Attributes:
      kind: read, create, upsert, replace, patch or delete.
      name: id of the item, where the address has it.
      body: the item, or a patch's operations and condition.
      if_match, if_none_match: an etag, or `*`.
    """

    kind: str
    name: str | None = None
    body: Any = None
    if_match: str | None = None
    if_none_match: str | None = None


def execute(container: Container, values: list[Any] | None, operation: Operation, lsn: int | None = None) -> Answer:
    """Does one operation.

    Args:
      values: the partition key of the request; None where the item says it.
      lsn: of the batch.

    Raises:
      RefusedError: as the service refuses; nothing has changed.
    """
    if values is None:
        raise RefusedError(400, "PartitionKey value must be supplied for this operation")
    name = operation.name
    if operation.kind in ("create", "upsert"):
        name = check_item(operation.body)["id"]
    assert name is not None
    before = container.get(values, name)
    if operation.kind == "create" and before is not None:
        raise RefusedError(409, "Entity with the specified id already exists in the system.")
    if before is None and operation.kind not in ("create", "upsert"):
        raise RefusedError(404, "Entity with the specified id does not exist in the system.")
    if operation.kind == "read":
        assert before is not None
        if operation.if_none_match == before.etag:
            return Answer(304, b"", {"etag": before.etag})
        return _answer(200, before, 1)
    _check_preconditions(operation, before)
    if operation.kind == "delete":
        assert before is not None
        container.delete(before.key, lsn)
        return Answer(204, b"", charge=_charge(before, 5))
    item = _patched(before, operation) if operation.kind == "patch" else check_item(operation.body)
    if operation.kind == "replace" and item["id"] != name:
        raise RefusedError(400, "The id of an item cannot be replaced")
    if [*map(_number, container.values_of(item))] != [*map(_number, values)]:
        raise RefusedError(
            400,
            "PartitionKey extracted from document doesn't match the one specified in the header",
            KEY_MISMATCH,
        )
    return _answer(201 if before is None else 200, container.put(item, lsn), 5)


def execute_batch(container: Container, values: list[Any] | None, operations: Sequence[Mapping[str, Any]]) -> Answer:
    """Does all operations, or none of them: then the answer says which one failed.

    Source: learn.microsoft.com/azure/cosmos-db/transactional-batch
    """
    if values is None or not 1 <= len(operations) <= MAX_BATCH:
        raise RefusedError(400, f"A batch has one partition key and between 1 and {MAX_BATCH} operations")
    parsed = [
        Operation(
            str(each.get("operationType", "")).lower(),
            each.get("id"),
            each.get("resourceBody"),
            each.get("ifMatch"),
            each.get("ifNoneMatch"),
        )
        for each in operations
    ]
    undo = container.checkpoint(values)
    lsn = container.next_lsn(values)
    results: list[dict[str, Any]] = []
    for operation in parsed:
        try:
            answer = execute(container, values, operation, lsn)
        except RefusedError as refused:
            undo()
            failed = {"statusCode": refused.status, "subStatusCode": refused.sub_status, "requestCharge": 1.0}
            others = [{"statusCode": _FAILED_DEPENDENCY, "requestCharge": 0.0}] * len(parsed)
            place = len(results)
            return Answer(207, encoded([*others[:place], failed, *others[place + 1 :]]))
        etag = answer.headers.get("etag")
        results.append(
            {
                "statusCode": answer.status,
                "requestCharge": answer.charge,
                **({"eTag": etag} if etag else {}),
                **({"resourceBody": json.loads(answer.body)} if answer.body else {}),
            }
        )
    return Answer(200, encoded(results), charge=sum(each["requestCharge"] for each in results))


def _check_preconditions(operation: Operation, before: Change | None) -> None:
    failed = RefusedError(412, "One of the specified pre-condition is not met")
    if operation.if_match is not None and (before is None or (operation.if_match not in ("*", before.etag))):
        raise failed
    if operation.if_none_match is not None and before is not None and operation.if_none_match in ("*", before.etag):
        raise failed


def _patched(before: Change | None, operation: Operation) -> dict[str, Any]:
    assert before is not None
    own = {field: value for field, value in before.item.items() if field not in SYSTEM_FIELDS}
    condition = operation.body.get("condition")
    if condition and not is_true(parse_condition(condition), before.item):
        raise RefusedError(412, "The condition of the patch is not met")
    return check_item(patched(own, operation.body.get("operations") or []))


def _number(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _answer(status: int, change: Change, units: float) -> Answer:
    return Answer(status, change.text, {"etag": change.etag}, _charge(change, units))


def _charge(change: Change, units: float) -> float:
    """About what the service charges: by started KiB."""
    return units * -(-len(change.text) // 1024)
