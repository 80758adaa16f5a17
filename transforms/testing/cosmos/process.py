"""The server in a process of its own, seen from the test.

    test ──▶ scripted_cosmos ──starts──▶ python -m transforms.testing.cosmos ──prints──▶ its endpoint
               │ pipe: when it closes, however the test ended, the server ends

Plain Python: aiohttp is imported by the other process only.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transforms.testing.cosmos.control import CosmosRequest
from transforms.testing.cosmos.script import Script, parse_script
from transforms.testing.own_process import Control, running_module

# Any key is accepted unless the script has one; the client wants base64.
KEY = "c2NyaXB0ZWQ="

_DEFAULTS = dataclasses.asdict(Script())


class ScriptedCosmos:
    """A running server.

    Attributes:
      endpoint: of the account.
      key: that it accepts.
    """

    def __init__(self, endpoint: str, key: str = KEY):
        self.endpoint, self.key = endpoint, key
        self._script: dict[str, Any] = {}
        self._ask = Control(endpoint).ask

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which Firebeam finds it."""
        return {"COSMOS_ENDPOINT": self.endpoint, "COSMOS_KEY": self.key}

    def requests(self, *operations: str) -> list[CosmosRequest]:
        """The last 100,000 requests in the order of their answers; with names, those of these operations."""
        everything = [CosmosRequest(**each) for each in self._ask("GET", "requests")]
        return [each for each in everything if not operations or each.operation in operations]

    def script(self, script: Mapping[str, Any]) -> None:
        """Follows this script from now on; parts that it does not have stay as they are. Rules count from 0 again.

        Raises:
          ValueError: it has a part that scripts do not have.
        """
        parse_script(script)
        self._ask("PUT", "script", script)
        self._script.update(script)

    @contextlib.contextmanager
    def following(self, script: Mapping[str, Any]) -> Iterator[None]:
        """Follows this script within the block, and behind it what was said before."""
        before = {name: self._script.get(name, default) for name, default in _DEFAULTS.items() if name in script}
        self.script(script)
        try:
            yield
        finally:
            self.script(before)

    def put_items(self, database: str, container: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Stores many items at once, without requests of a client."""
        self._ask("POST", "items", {"database": database, "container": container, "items": items})

    def split(self, database: str, container: str, partition: str | None = None) -> tuple[str, ...]:
        """Splits a physical partition, by default the first; returns the ids of its children."""
        return tuple(self._ask("POST", "split", {"database": database, "container": container, "partition": partition}))

    def garble(self, database: str, container: str, key: Sequence[Any], item: str) -> None:
        """Makes the text of the item's field `garbled` malformed UTF-8."""
        self._ask("POST", "garble", {"database": database, "container": container, "key": key, "id": item})


@contextlib.contextmanager
def scripted_cosmos(script: Mapping[str, Any] | None = None) -> Iterator[ScriptedCosmos]:
    """Runs an account's server for the duration of the block.

    Args:
      script: as docs/testing.md says; default: containers of four physical partitions, and nothing goes wrong.

    Raises:
      ValueError: the script is wrong.
      RuntimeError: the server did not start.
    """
    parse_script(script or {})
    with running_module("transforms.testing.cosmos") as endpoint:
        server = ScriptedCosmos(endpoint)
        server.script(script or {})
        yield server
