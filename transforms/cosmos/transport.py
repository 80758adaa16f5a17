r"""How answers come from an account: what passes on to azure-cosmos, and what is ours to decide.

status 400, 404, 409, 410, 412  azure-cosmos knows what it asked: an item, a partition that was split
any other refusal               StatusError: the SDK would send it again by rules of its own, up to two minutes long
malformed UTF-8                 the matter of the item that has it; the SDK would refuse the whole page:
    …"name":"Caf\xe9"…          bytes that early clients wrote
    …"name":"Caf\udce9"…        a lone surrogate: JSON, and refused as the text of one document by whoever stores it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core.pipeline.transport import HttpRequest, RequestsTransport, RequestsTransportResponse

from transforms.cosmos.plain_session import PlainSession
from transforms.cosmos.status import StatusError

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpResponse

_OF_THE_SDK = frozenset({400, 404, 409, 410, 412})


class OneAttemptTransport(RequestsTransport):
    """Sends by the connections of requests, as the SDK does by itself, and once."""

    def __init__(self) -> None:
        super().__init__(session=PlainSession())

    def send(self, request: HttpRequest, **options: Any) -> RequestsTransportResponse:
        """As azure-core says. Raises StatusError."""
        answered = super().send(request, **options)
        mended_answer = _Mended(request, answered.internal_response, answered.block_size)
        check_answer(mended_answer)
        return mended_answer


class _Mended(RequestsTransportResponse):
    _mended: bytes | None = None

    def body(self) -> bytes:
        if self._mended is None:
            self._mended = mended(super().body())
        return self._mended


def check_answer(answer: RequestsTransportResponse | AsyncHttpResponse) -> None:
    """Raises StatusError if the account has refused, and what follows from it is ours to decide."""
    if answer.status_code >= 400:
        refused = StatusError(answer.status_code, answer.headers, answer.text("utf-8"))
        if refused.status not in _OF_THE_SDK or refused.is_session_behind:
            raise refused


def mended(body: bytes) -> bytes:
    r"""JSON in UTF-8, whatever bytes its texts have.

    >>> mended(b'{"a":"\xe9"}'), mended('{"a":"é"}'.encode()) == '{"a":"é"}'.encode()
    (b'{"a":"\\udce9"}', True)
    """
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace")
    return body
