"""Who may ask, and what an answer allows the browser: plain functions of a request's headers.

    Host       on a loopback address only a loopback name may stand there: else any web site could read this server, by
               a name of its own that leads to 127.0.0.1 (DNS rebinding)
    token      everybody needs it, where there is one: by cookie, once in the address, or as a bearer, for programs
    answers    run no other script, load from no other host, stand in no frame, are kept by nobody

Nothing is asked of a request but its headers.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping

from pipeline.present.page.render import CONTENT_POLICY

COOKIE = "firebeam_token"
_BEARER = "Bearer "
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?")

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Server": "firebeam",
}


def is_loopback(host: str) -> bool:
    """Whether an address or name is this computer's own.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.1", "localhost.evil.org")]
    [True, True, True, False, False, False]
    """
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_is_allowed(header: str | None, served_host: str) -> bool:
    """Whether a Host header may be what a browser sends that means this server.

    A server for others has names that it cannot know; there the token keeps out whoever leads a browser here, because
    the cookie belongs to the name that it was given under.

    >>> [host_is_allowed(h, "127.0.0.1") for h in ("127.0.0.1:8780", "localhost:9000", "[::1]:1", "evil.org", "", None)]
    [True, True, True, False, False, False]
    >>> host_is_allowed("status.example.org", "0.0.0.0"), host_is_allowed("a b", "0.0.0.0")
    (True, False)
    """
    found = _HOST.fullmatch(header or "")
    if found is None:
        return False
    return not is_loopback(served_host) or is_loopback(found["name"])


def token_is_right(token: str, cookie: str | None, authorization: str | None) -> bool:
    """Whether a request has the token; compared in a time that says nothing about it.

    >>> token_is_right("s3cret", "s3cret", None), token_is_right("s3cret", None, "Bearer s3cret")
    (True, True)
    >>> token_is_right("s3cret", "s3cre", "s3cret"), token_is_right("s3cret", None, None)
    (False, False)
    """
    bearer = authorization[len(_BEARER) :] if authorization and authorization.startswith(_BEARER) else None
    given = [each.encode("utf-8", "surrogateescape") for each in (cookie, bearer) if each]
    return any(hmac.compare_digest(each, token.encode()) for each in given)
