"""What a test says the server does, as plain data. docs/testing.md has the table.

{"rules": [{"operation": "create", "status": 429, "retry_after_ms": 20, "times": 3},
           {"operation": "feed", "delay_s": 0.5, "every": 10},
           {"operation": "replace", "lost": "after"}],
 "key": "c2VjcmV0", "partitions": 4, "request_units_per_s": 400, "clock_offset_s": 0,
 "write_regions": ["Local"], "keeps_versions": true, "versions_kept_s": 604800}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

ANY = "any"
OPERATIONS = (
    "account", "database", "container", "offer", "ranges", "plan", "query", "feed", "read", "create", "upsert",
    "replace", "patch", "delete", "batch", ANY,
)  # fmt: skip
LOST = ("before", "after")


@dataclass(frozen=True)
class Rule:
    """What happens to some requests.

    Attributes:
      operation: one of OPERATIONS.
      container: id of the container; None for any.
      status, sub_status, retry_after_ms: it is refused with these; None answers it.
      delay_s: it waits before anything else.
      lost: the connection ends `before` the request has done anything, or `after` it has.
      skip: so many requests are left alone first.
      times: for how many requests; None for all.
      every: of the others only each n-th.
    """

    operation: str = ANY
    container: str | None = None
    status: int | None = None
    sub_status: int = 0
    retry_after_ms: int | None = None
    delay_s: float = 0.0
    lost: str | None = None
    skip: int = 0
    times: int | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ValueError(f"there is no operation {self.operation!r}; choose from {', '.join(OPERATIONS)}")
        if self.lost is not None and self.lost not in LOST:
            raise ValueError(f"lost is one of {', '.join(LOST)}, got {self.lost!r}")
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")


@dataclass(frozen=True)
class Script:
    """How the server behaves.

    Attributes:
      rules: the first that fits a request decides.
      key: the account's key in base64; None accepts any.
      partitions: of containers that are created from now on.
      request_units_per_s: beyond it requests are refused with 429, those of low priority first; None for no bound.
      clock_offset_s: added to the time of day, which versions and ttl count by.
      write_regions: of the account; several accept writes where there are several.
      keeps_versions: whether the feed of all versions and deletes can be read (continuous backup).
      versions_kept_s: how far back; None for all.
    """

    rules: tuple[Rule, ...] = ()
    key: str | None = None
    partitions: int = 4
    request_units_per_s: float | None = None
    clock_offset_s: float = 0.0
    write_regions: tuple[str, ...] = ("Local",)
    keeps_versions: bool = True
    versions_kept_s: float | None = None


def parse_script(data: Mapping[str, Any]) -> Script:
    """Reads a script.

    >>> parse_script({"rules": [{"operation": "feed", "status": 410}]}).rules[0].status
    410
    >>> parse_script({"rule": []})
    Traceback (most recent call last):
    ValueError: a script has no 'rule'; it has rules, key, partitions, request_units_per_s, clock_offset_s, \
write_regions, keeps_versions, versions_kept_s

    Raises:
      ValueError: it has a part that scripts do not have.
    """
    given = dict(data)
    _check_names("a script", given, Script)
    rules = []
    for each in given.pop("rules", ()):
        _check_names("a rule", each, Rule)
        rules.append(Rule(**each))
    if "write_regions" in given:
        given["write_regions"] = tuple(given["write_regions"])
    return Script(rules=tuple(rules), **given)


def _check_names(what: str, given: Mapping[str, Any], of: type[Script] | type[Rule]) -> None:
    known = [field.name for field in fields(of)]
    for name in given:
        if name not in known:
            raise ValueError(f"{what} has no {name!r}; it has {', '.join(known)}")
