"""The account: databases, containers and their addresses; which request means which operation. Plain Python.

method, address, headers, body ──operation_of──▶ name of the operation ──answer──▶ Answer
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transforms.testing.cosmos.answers import (
    CONTINUATION,
    OTHER_CONTAINER,
    OWNER_MISSING,
    Answer,
    RefusedError,
    encoded,
)
from transforms.testing.cosmos.container import Change, Container
from transforms.testing.cosmos.feed import FULL_FIDELITY, read_feed
from transforms.testing.cosmos.items import parse_item, parse_json
from transforms.testing.cosmos.keys import HIGHEST, LOWEST, key_text
from transforms.testing.cosmos.queries import query_plan, run_query
from transforms.testing.cosmos.script import Script
from transforms.testing.cosmos.writes import Operation, execute, execute_batch

_KEY = "x-ms-documentdb-partitionkey"
_RANGE = "x-ms-documentdb-partitionkeyrangeid"
_THROUGHPUT = "x-ms-offer-throughput"
_COUNT = "x-ms-max-item-count"
_ITEM_OPERATIONS = {"GET": "read", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
      path: the address in segments.
      headers: by lower-case name.
    """

    method: str
    path: Sequence[str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def operation(self) -> str:
        """One of script.OPERATIONS."""
        path, headers = self.path, self.headers
        kinds = path[::2]
        if not path:
            return "account"
        if kinds[0] == "offers":
            return "offer"
        if kinds[-1] == "pkranges":
            return "ranges"
        if kinds[-1] != "docs":
            return "container" if "colls" in kinds else "database"
        if len(path) == 6:
            return _ITEM_OPERATIONS.get(self.method, "read")
        if self.method == "GET":
            return "feed" if "a-im" in headers else "query"
        if _is(headers, "x-ms-cosmos-is-query-plan-request"):
            return "plan"
        if _is(headers, "x-ms-documentdb-isquery") or "query+json" in headers.get("content-type", ""):
            return "query"
        if _is(headers, "x-ms-cosmos-is-batch-request"):
            return "batch"
        return "upsert" if _is(headers, "x-ms-documentdb-is-upsert") else "create"

    @property
    def key(self) -> list[Any] | None:
        """The partition key."""
        text = self.headers.get(_KEY)
        return None if text is None else json.loads(text)


@dataclass
class _Database:
    rid: str
    containers: dict[str, Container] = field(default_factory=dict)


class Account:
    """What the server holds.

    Args:
      script: how it behaves just now.
      now: seconds since 1970.
    """

    def __init__(self, script: Callable[[], Script], now: Callable[[], float]):
        self._script, self._now = script, now
        self._databases: dict[str, _Database] = {}
        self._throughput: dict[str, int] = {}
        self._n_created = 0

    def container(self, database: str, name: str) -> Container:
        """By its names, or by the service's own. Raises RefusedError 404."""
        containers = self._database(database).containers
        found = containers.get(name) or next((each for each in containers.values() if each.rid == name), None)
        if found is None:
            raise RefusedError(404, f"Owner resource does not exist: container {name}", OWNER_MISSING)
        return found

    def answer(self, request: Request, url: str) -> Answer:
        """What a request is answered. Raises RefusedError."""
        operation, path = request.operation, request.path
        if operation == "account":
            return self._described(url)
        if operation == "offer":
            return self._offers(request)
        if operation == "database":
            return self._on_database(request)
        if len(path) == 3:
            return self._on_containers(request)
        container = self.container(path[1], path[3])
        wanted_rid = request.headers.get("x-ms-cosmos-intended-collection-rid")
        if wanted_rid not in (None, container.rid):
            raise RefusedError(400, "The container was created again", OTHER_CONTAINER)
        if operation == "container":
            return self._on_container(request, container)
        answered = self._on_items(request, operation, container)
        token = ",".join(f"{each.id}:-1#{each.lsn}" for each in self._touched(request, container))
        return Answer(
            answered.status, answered.body, {"x-ms-session-token": token, **answered.headers}, answered.charge
        )

    def _touched(self, request: Request, container: Container) -> Iterable[Any]:
        named = request.headers.get(_RANGE)
        return [each for each in container.partitions if named in (None, each.id)][:1]

    def _on_items(self, request: Request, operation: str, container: Container) -> Answer:
        headers = request.headers
        if operation == "ranges":
            return _ranges(container, headers.get("if-none-match"))
        if operation == "feed":
            return self._feed(request, container)
        if operation == "plan":
            return query_plan(parse_json(request.body))
        if operation == "query":
            body = parse_json(request.body) if request.method == "POST" else {"query": "SELECT * FROM c"}
            after, count = int(headers.get(CONTINUATION) or 0), int(headers.get(_COUNT) or -1)
            is_scoped = request.key is not None or _RANGE in headers or len(container.partitions) == 1
            changes = _in_scope(request, container)
            return run_query(container, changes, body, is_scoped=is_scoped, max_count=count, after=after)
        if operation == "batch":
            return execute_batch(container, request.key, parse_json(request.body))
        body = None
        if operation in ("create", "upsert", "replace"):
            body = parse_item(request.body)
        elif operation == "patch":
            body = parse_json(request.body)
        name = request.path[5] if len(request.path) == 6 else None
        conditions = headers.get("if-match"), headers.get("if-none-match")
        return execute(container, request.key, Operation(operation, name, body, *conditions))

    def _feed(self, request: Request, container: Container) -> Answer:
        headers = request.headers
        if headers["a-im"].lower() == FULL_FIDELITY and not self._script().keeps_versions:
            raise RefusedError(400, "All versions and deletes need continuous backup, which this account does not have")
        if _RANGE not in headers and len(container.partitions) > 1:
            raise RefusedError(400, "The change feed is read per partition key range")
        partition = container.partition(headers.get(_RANGE, container.partitions[0].id).rpartition(",")[2])
        return read_feed(
            container,
            partition,
            headers["a-im"],
            headers.get("if-none-match"),
            headers.get("if-modified-since"),
            int(headers.get(_COUNT) or -1),
            (headers.get("x-ms-start-epk", LOWEST), headers.get("x-ms-end-epk", HIGHEST)),
            None if request.key is None else key_text(request.key),
            self._script().versions_kept_s,
        )

    def _described(self, url: str) -> Answer:
        regions = [{"name": name, "databaseAccountEndpoint": url} for name in self._script().write_regions]
        body = {
            "_self": "",
            "id": "scripted",
            "_rid": "scripted",
            "_dbs": "//dbs/",
            "media": "//media/",
            "addresses": "//addresses/",
            "writableLocations": regions,
            "readableLocations": regions,
            "enableMultipleWriteLocations": len(regions) > 1,
            "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
            "queryEngineConfiguration": "{}",
        }
        return Answer(200, encoded(body))

    def _on_database(self, request: Request) -> Answer:
        if request.method == "POST":
            name = parse_json(request.body)["id"]
            if name in self._databases:
                raise RefusedError(409, f"The database {name} already exists")
            self._databases[name] = _Database(self._new_rid(4))
            return Answer(201, encoded(_database_body(name, self._databases[name])))
        if len(request.path) == 1:
            bodies = [_database_body(name, each) for name, each in self._databases.items()]
            return Answer(200, encoded({"_rid": "", "Databases": bodies, "_count": len(bodies)}))
        name, database = request.path[1], self._database(request.path[1])
        if request.method == "DELETE":
            del self._databases[name]
            return Answer(204)
        return Answer(200, encoded(_database_body(name, database)))

    def _on_containers(self, request: Request) -> Answer:
        database = self._database(request.path[1])
        if request.method == "GET":
            bodies = [_container_body(each) for each in database.containers.values()]
            return Answer(200, encoded({"_rid": database.rid, "DocumentCollections": bodies, "_count": len(bodies)}))
        definition = parse_json(request.body)
        name = definition["id"]
        if name in database.containers:
            raise RefusedError(409, f"The container {name} already exists")
        if definition["partitionKey"].get("version", 1) != 2:
            raise RefusedError(400, "Only partition keys of version 2 are imitated here")
        rid = database.rid + self._new_rid(4)
        container = Container(name, rid, definition, self._now, self._script().partitions)
        database.containers[name] = container
        if _THROUGHPUT in request.headers:
            self._throughput[rid] = int(request.headers[_THROUGHPUT])
        return Answer(201, encoded(_container_body(container)))

    def _on_container(self, request: Request, container: Container) -> Answer:
        if request.method == "DELETE":
            del self._database(request.path[1]).containers[container.name]
            return Answer(204)
        if request.method == "PUT":
            container.definition.update(parse_json(request.body))
        n_bytes = sum(len(change.text) for change in container.items())
        usage = f"documentsSize={n_bytes // 1024};documentsCount={container.count()};collectionSize={n_bytes // 1024};"
        return Answer(200, encoded(_container_body(container)), {"x-ms-resource-usage": usage})

    def _offers(self, request: Request) -> Answer:
        offers = [
            {
                "resource": f"dbs/x/colls/{rid}/",
                "offerResourceId": rid,
                "offerVersion": "V2",
                "content": {"offerThroughput": units, "offerIsRUPerMinuteThroughputEnabled": False},
                "id": rid,
                "_rid": rid,
                "_self": f"offers/{rid}/",
            }
            for rid, units in self._throughput.items()
        ]
        if request.method == "POST":  # a query for one container
            wanted = parse_json(request.body)["parameters"][0]["value"].strip("/")
            offers = [each for each in offers if str(each["resource"]).strip("/") == wanted]
        elif request.method != "GET":
            raise RefusedError(400, "Throughput can only be read here")
        return Answer(200, encoded({"_rid": "", "Offers": offers, "_count": len(offers)}))

    def _database(self, name: str) -> _Database:
        found = self._databases.get(name) or next((each for each in self._databases.values() if each.rid == name), None)
        if found is None:
            raise RefusedError(404, f"Owner resource does not exist: database {name}", OWNER_MISSING)
        return found

    def _new_rid(self, n_bytes: int) -> str:
        self._n_created += 1
        return base64.b64encode(self._n_created.to_bytes(n_bytes, "big"), b"+-").decode().rstrip("=")


def _in_scope(request: Request, container: Container) -> list[Change]:
    headers, key = request.headers, request.key
    low, high = headers.get("x-ms-start-epk", LOWEST), headers.get("x-ms-end-epk", HIGHEST)
    if _RANGE in headers:
        partition = container.partition(headers[_RANGE].rpartition(",")[2])
        low, high = max(low, partition.low), min(high, partition.high)
    wanted = None if key is None else key_text(key)
    return [
        change
        for change in container.items()
        if low <= change.effective < high and (wanted is None or change.key[0] == wanted)
    ]


def _ranges(container: Container, seen: str | None) -> Answer:
    headers = {"etag": container.routing_etag}
    if seen == container.routing_etag:
        return Answer(304, b"", headers)
    ranges = [
        {
            "id": each.id,
            "_rid": f"{container.rid}{each.id}",
            "_self": "",
            "_etag": "",
            "_ts": 0,
            "minInclusive": each.low,
            "maxExclusive": each.high,
            "ridPrefix": int(each.id),
            "throughputFraction": 1 / len(container.partitions),
            "status": "online",
            "parents": list(each.parents),
            "lsn": each.lsn,
        }
        for each in container.partitions
    ]
    return Answer(200, encoded({"_rid": container.rid, "PartitionKeyRanges": ranges, "_count": len(ranges)}), headers)


def _database_body(name: str, database: _Database) -> dict[str, Any]:
    return {"id": name, "_rid": database.rid, "_self": f"dbs/{database.rid}/", "_etag": "", "_ts": 0}


def _container_body(container: Container) -> dict[str, Any]:
    own = {"_rid": container.rid, "_self": f"dbs/x/colls/{container.rid}/", "_etag": "", "_ts": 0}
    return {"indexingPolicy": {"indexingMode": "consistent"}, **container.definition, **own}


def _is(headers: Mapping[str, str], name: str) -> bool:
    return headers.get(name, "").lower() == "true"
