"""As `transport.py`, in an event loop: answers come by aiohttp, as those of the SDK's asynchronous client do.

connection never there     ServiceRequestError: nothing was sent; the SDK may turn to another region
connection broke           ServiceResponseError: aiohttp would send GET, PUT and DELETE again, azure-core takes all of
                           them for unsent, and the SDK sends reads again
"""

from __future__ import annotations

from typing import Any

import aiohttp
from azure.core.exceptions import ServiceRequestError, ServiceRequestTimeoutError, ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport, AioHttpTransportResponse, HttpRequest

from transforms.cosmos.transport import check_answer, mended


class AsyncOneAttemptTransport(AioHttpTransport):
    """Sends with aiohttp, as the SDK does by itself, and once. Made in the event loop that it is for."""

    def __init__(self) -> None:
        super().__init__(
            session=aiohttp.ClientSession(
                trust_env=True, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, middlewares=(_once,)
            )
        )

    async def send(self, request: HttpRequest, **options: Any) -> AioHttpTransportResponse:
        """As azure-core says. Raises StatusError."""
        try:
            answered = await super().send(request, **options)
        except ServiceRequestError as error:
            if isinstance(error, ServiceRequestTimeoutError) or isinstance(error.__cause__, _NotSentError):
                raise
            raise ServiceResponseError(type(error.__cause__).__name__) from error
        mended_answer = _Mended(request, answered.internal_response, answered.block_size)
        await mended_answer.load_body()  # which aiohttp has kept
        check_answer(mended_answer)
        return mended_answer


class _NotSentError(aiohttp.ClientError):
    """There was no connection."""


class _BrokenError(aiohttp.ClientError):
    """The connection broke; the request may have been done."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Around every attempt of aiohttp, which makes another one only after errors that it knows."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError as error:
        raise _NotSentError(str(error)) from error
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenError(str(error)) from error


class _Mended(AioHttpTransportResponse):
    _mended: bytes | None = None

    def body(self) -> bytes:
        if self._mended is None:
            self._mended = mended(super().body())
        return self._mended
