"""What a provider's API has to say of itself, so that the server can speak it.

request ──▶ server: journal, script, key ──▶ dialect: one handler for each route ──▶ the provider's own JSON
"""

from __future__ import annotations

import abc
import datetime
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

from aiohttp import web

from transforms.testing.providers.batches import Batch, Batches, Phase
from transforms.testing.providers.chat_forms import ChatForm
from transforms.testing.providers.script import ExistingBatch

T = TypeVar("T")

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON_LINES = "application/x-ndjson"

_BEARER = "Bearer "


class Route(NamedTuple):
    """A path of an API, and what a script calls it."""

    endpoint: str
    method: str
    path: str
    handle: Handler


class RefusedRequestError(Exception):
    """A request that is answered with an error.

    Args:
      status: HTTP status.
      code: in the provider's error; empty: what it says with this status.
      text: for people.
    """

    def __init__(self, status: int, text: str, code: str = ""):
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class Dialect(abc.ABC):
    """An API. A subclass has its paths and words.

    Args:
      batches: what the server knows; their words for states are this dialect's own.

    Attributes:
      base_path: what the provider's own address has behind the host, and so `base_url`.
      states: the words for a batch on its way.
      cancelling: the word for one that is being cancelled.
      keeps_failed: whether a batch that failed has the results it got before.
      chat: how single questions are asked; None: they are not.
    """

    base_path: ClassVar[str] = ""
    states: ClassVar[Sequence[str]]
    cancelling: ClassVar[str]
    keeps_failed: ClassVar[bool] = False
    chat: ClassVar[ChatForm | None] = None

    def __init__(self, batches: Batches):
        self.batches = batches

    @abc.abstractmethod
    def routes(self) -> Iterable[Route]:
        """All that it answers."""

    @abc.abstractmethod
    def error(self, status: int, code: str, text: str) -> Any:
        """The JSON of an error; `code` may be empty."""

    def refusal(self, status: int, code: str, text: str, retry_after: str | float | None) -> web.Response:
        """An answer that says no, and when to come again."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return web.json_response(self.error(status, code, text), status=status, headers=headers)

    def refused_question(self, status: int, code: str, text: str, retry_after: str | float | None) -> web.Response:
        """The same of a question."""
        return self.refusal(status, code, text, retry_after)

    @abc.abstractmethod
    def word(self, phase: Phase) -> str:
        """How this API says how far a batch is."""

    @abc.abstractmethod
    def add_existing(self, existing: ExistingBatch) -> None:
        """Adds a batch that was there before the first request."""

    def state(self, batch: Batch) -> str:
        """The word for how far a batch is now."""
        return self.word(self.batches.phase(batch))

    def credentials(self, request: web.Request) -> str | None:
        """The key that came with a request; the header of most is `Authorization: Bearer`."""
        given = request.headers.get("Authorization", "")
        return given.removeprefix(_BEARER) if given.startswith(_BEARER) else None

    def needs_key(self, request: web.Request) -> bool:
        """Whether a request must have one."""
        return True

    def found(self, request: web.Request, name: str = "id") -> Batch:
        """The batch whose id is in the path. Raises RefusedRequestError with 404."""
        batch_id = request.match_info[name]
        batch = self.batches.find(batch_id)
        if batch is None:
            raise RefusedRequestError(404, f"no batch {batch_id}")
        return batch


async def json_body(request: web.Request) -> Any:
    """What a request has as its body. Raises RefusedRequestError with 400."""
    try:
        return json.loads(await request.read())
    except ValueError:
        raise RefusedRequestError(400, "the body is not JSON") from None


def number(request: web.Request, name: str, default: int, lowest: int, highest: int) -> int:
    """A number of the query. Raises RefusedRequestError with 400 outside of its bounds."""
    text = request.query.get(name, str(default))
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise RefusedRequestError(400, f"{name} must be in [{lowest}, {highest}], got {text}")
    return int(text)


def json_lines(values: Iterable[Any]) -> bytes:
    """JSON Lines.

    >>> json_lines([{"a": 1}, {"a": 2}])
    b'{"a": 1}\\n{"a": 2}\\n'
    """
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


def lines_response(values: Iterable[Any], content_type: str = JSON_LINES) -> web.Response:
    """An answer with JSON Lines."""
    return web.Response(body=json_lines(values), content_type=content_type)


def following(listed: Sequence[T], is_last_seen: Callable[[T], bool]) -> Sequence[T]:
    """What a list has behind the last one that a client has seen. Raises RefusedRequestError for one it does not have.

    >>> following([3, 2, 1], lambda each: each == 3)
    [2, 1]
    """
    for n, each in enumerate(listed):
        if is_last_seen(each):
            return listed[n + 1 :]
    raise RefusedRequestError(400, "the list has nothing of this id")


def rfc3339(seconds: float) -> str:
    """
    >>> rfc3339(0)
    '1970-01-01T00:00:00.000000Z'
    """
    time = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def without_nones(fields: Mapping[str, Any]) -> dict[str, Any]:
    """
    >>> without_nones({"a": None, "b": 0})
    {'b': 0}
    """
    return {name: value for name, value in fields.items() if value is not None}
