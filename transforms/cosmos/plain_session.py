"""What azure-core needs of a session of requests, and no more, because a whole one costs CPU with every request.

url, headers, body as azure-core made them ──▶ pool of connections ──▶ answer, read to its end

No cookies, redirects, hooks or .netrc. Proxies and certificates are looked up in the environment once per address.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import requests
from requests.structures import CaseInsensitiveDict

_MAX_ADDRESSES = 64  # of an account: one per region
_WITHOUT_BODY = ("GET", "HEAD")


class PlainSession(requests.Session):
    """For `RequestsTransport`. Thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self._environment_of = functools.lru_cache(_MAX_ADDRESSES)(_environment_of)

    def request(  # type: ignore[override]  # of what a session accepts, what azure-core gives
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        data: bytes | str | None,
        timeout: tuple[float, float],
        verify: bool | str,
        cert: Any,
        **_more: Any,
    ) -> requests.Response:
        """Sends once. Raises RequestException."""
        scheme, _, rest = url.partition("://")
        environment = self._environment_of(f"{scheme}://{rest.partition('/')[0]}")
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = method, url
        prepared.body = data.encode() if isinstance(data, str) else data
        prepared.headers = CaseInsensitiveDict(self.headers)
        prepared.headers.update(headers)
        if prepared.body or method not in _WITHOUT_BODY:
            prepared.headers["Content-Length"] = str(len(prepared.body or b""))
        answer = self.get_adapter(url).send(
            prepared,
            timeout=timeout,
            verify=environment.verify if verify is True else verify,
            cert=cert,
            proxies=environment.proxies,
        )
        answer.content  # noqa: B018  # is read, or fails, here
        return answer


class _Environment(NamedTuple):
    """What the environment says of an address.

    Attributes:
      proxies: by scheme.
      verify: True, or where the certificates of authorities are.
    """

    proxies: dict[str, str]
    verify: bool | str


def _environment_of(address: str) -> _Environment:
    with requests.Session() as session:
        found = session.merge_environment_settings(address, {}, None, True, None)
    return _Environment(dict(found["proxies"]), found["verify"])
