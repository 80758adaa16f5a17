"""Which addresses may be asked, and which of them get the provider's headers.

    | address                                        |                                     |
    |------------------------------------------------|-------------------------------------|
    | the provider's own scheme, host and port       | with its headers, the key among them |
    | https elsewhere, such as a signed link         | without                             |
    | http elsewhere, addresses within a network     | refused; between programs of one computer without headers |
    | anything else                                  | refused                             |

Addresses come from a provider's answers: one that an attacker has put there must neither get the key nor make a worker
ask what only it can reach.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from dataclasses import dataclass

from transforms.errors import JobError

_PORTS = {"http": 80, "https": 443}
# RFC 6762 and 8375, ICANN's resolution of 2024-07-29, and what Kubernetes calls services.
_PRIVATE_NAMES = (".local", ".home.arpa", ".internal", ".svc", ".lan", ".localhost")


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port: what a browser calls an origin."""

    scheme: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this computer."""
        return self.host == "localhost" or (_address(self.host) or _ELSEWHERE).is_loopback

    @property
    def is_internal(self) -> bool:
        """Whether it is an address that only neighbours of this computer reach. Names are not looked up."""
        address = _address(self.host)
        return self.is_loopback or (address is not None and not address.is_global)


_ELSEWHERE = ipaddress.ip_address("192.0.2.1")  # an address of documentation


def origin_of(url: str) -> Origin | None:
    """The origin of an http or https address; None for anything else.

    >>> origin_of("https://api.example:443/v1?x=1"), origin_of("file:///etc/passwd")
    (Origin(scheme='https', host='api.example', port=443), None)
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])


def base_url_problem(url: str) -> str:
    """What is wrong with a provider's address; empty if it can be used.

    >>> base_url_problem("http://api.example"), base_url_problem("http://127.0.0.1:8080/v1")
    ('must begin with https://, or be of this computer, such as http://127.0.0.1:8080', '')
    """
    origin = origin_of(url)
    if origin is None or (origin.scheme == "http" and not origin.is_loopback):
        return "must begin with https://, or be of this computer, such as http://127.0.0.1:8080"
    return _more_than_a_path(url)


def server_url_problem(url: str) -> str:
    """What is wrong with the address of a server of a user's own; empty if it can be used.

    Within a network http will do: on this computer, at an address that only neighbours reach, or at a name that no
    public one looks like.

    >>> [server_url_problem(f"http://{host}:8000/v1") for host in ("localhost", "10.0.0.7", "vllm", "llm.internal")]
    ['', '', '', '']
    >>> server_url_problem("http://api.example/v1")
    'must begin with https://, or be within your own network, such as http://127.0.0.1:8000/v1'
    """
    origin = origin_of(url)
    is_private = origin is not None and (
        origin.is_internal or "." not in origin.host or origin.host.endswith(_PRIVATE_NAMES)
    )
    if origin is None or (origin.scheme == "http" and not is_private):
        return "must begin with https://, or be within your own network, such as http://127.0.0.1:8000/v1"
    return _more_than_a_path(url)


def gets_headers(url: str, provider: Origin) -> bool:
    """Whether requests to an address that the provider gave carry its headers.

    Raises:
      JobError: it must not be asked at all. The message shows the host only: links are signed.
    """
    origin = origin_of(url)
    if origin == provider:
        return True
    if origin is None:
        raise JobError(f"{provider.host} names results at an address that is neither https:// nor gs://; not fetched")
    if origin.is_internal or origin.scheme != "https":
        if origin.is_loopback and provider.is_loopback:
            return False
        raise JobError(
            f"{provider.host} names results at {origin.scheme}://{origin.host}: only https:// addresses that everybody"
            " can reach are fetched"
        )
    return False


def _more_than_a_path(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.query or parts.fragment or parts.username or parts.password:
        return "must be scheme, host and path only"
    return ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
