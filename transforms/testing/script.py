"""What a server does with a request in place of, or beside, answering it.

    request ──▶ log ──▶ script(request, ordinal) ──▶ effect ──wraps──▶ the server's own messages ──▶ client
                              │ None                                     applied when the first one is asked for
                              └▶ answered as it should be

An effect is a function from the messages the server would send to those it does send. It may wait, stop early, raise
`RpcError`, or do something of its own between the write and the answer:

    def interfere(messages):
        answer = list(messages)                  # the request is applied now
        server.put({"users/ada": {"n": 2}})        # somebody else is faster than the answer
        yield from answer
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import grpc

from transforms.firestore.client import RpcError

Effect: TypeAlias = Callable[[Iterator[Any]], Iterator[Any]]
Script: TypeAlias = Callable[[Any, int], Effect | None] | Sequence[Effect | None]


def status(code: str, message: str = "scripted") -> Effect:
    """The request is refused and nothing is done. `code` is a canonical gRPC code, such as `UNAVAILABLE`."""
    return _failing(code, message, lambda messages: ())


def applied_then(code: str, message: str = "scripted") -> Effect:
    """The request is applied, and its answer is lost: the client gets an error."""
    return _failing(code, message, lambda messages: list(messages)[:0])


def cut_after(n_messages: int, code: str = "UNAVAILABLE", message: str = "the stream was cut") -> Effect:
    """A stream breaks after so many messages; the first one of RunQuery has no document, only a read time."""
    return _failing(code, message, lambda messages: itertools.islice(messages, n_messages))


def delay(seconds: float) -> Effect:
    """The request is applied, and answered, so many seconds late, whether or not the client still waits."""

    def effect(messages: Iterator[Any]) -> Iterator[Any]:
        time.sleep(seconds)
        yield from messages

    return effect


def answer(*messages: Any) -> Effect:
    """The server sends these protobuf messages; the request is not looked at."""
    return lambda own: iter(messages)


def always(effect: Effect) -> Script:
    """A script with the same effect on every request."""
    return lambda request, ordinal: effect


class Scripts:
    """The scripts of a server, by RPC. Thread-safe.

    Args:
      names: of the RPCs there are.
    """

    def __init__(self, names: Sequence[str]):
        self._names = names
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forgets all scripts."""
        with self._lock:
            self._scripts: dict[str, Script] = {}
            self._seen: Counter[tuple[str, str]] = Counter()

    def set(self, name: str, script: Script) -> None:
        """Makes it the script of an RPC, whose next request is number 0. Raises ValueError for an unknown RPC."""
        if name not in self._names:
            raise ValueError(f"a script needs one of the RPCs {', '.join(self._names)}, got {name!r}")
        with self._lock:
            self._scripts[name] = script
            self._seen = Counter({key: n for key, n in self._seen.items() if key[0] != name})

    def effect(self, name: str, request: Any, key: str = "") -> Effect | None:
        """What happens to a request; ordinals are counted per key. Raises what the script raises."""
        with self._lock:
            script, ordinal = self._scripts.get(name, ()), self._seen[name, key]
            self._seen[name, key] += 1
        if callable(script):
            return script(request, ordinal)
        return script[ordinal] if ordinal < len(script) else None


def check_code(code: str) -> None:
    """Raises ValueError unless it is the name of a gRPC status code."""
    if code not in grpc.StatusCode.__members__:
        raise ValueError(f"code must be the name of a gRPC status code such as UNAVAILABLE, got {code!r}")


def _failing(code: str, message: str, kept: Callable[[Iterator[Any]], Any]) -> Effect:
    check_code(code)

    def effect(messages: Iterator[Any]) -> Iterator[Any]:
        yield from kept(messages)
        raise RpcError(code, message)

    return effect
