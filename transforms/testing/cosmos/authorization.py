"""Whether a request is signed with the account's key. Plain Python.

Source: learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import unquote

from transforms.testing.cosmos.account import Request
from transforms.testing.cosmos.answers import RefusedError


def check_authorized(request: Request, key: str | None) -> None:
    """Raises RefusedError 401 for a wrong signature; tokens of Entra ID pass.

    Args:
      key: the account's, in base64; None accepts any signature.
    """
    given = unquote(request.headers.get("authorization", ""))
    if not given:
        raise RefusedError(
            401, "Required Header authorization is missing. Ensure a valid Authorization token is passed."
        )
    if key is None or given.startswith("type=aad") or request.operation == "offer":
        return
    path = list(request.path)
    is_feed = len(path) % 2 == 1
    kind = path[-1] if is_feed else path[-2] if path else ""
    link = "/".join(path[:-1] if is_feed else path)
    signed = f"{request.method.lower()}\n{kind.lower()}\n{link}\n{request.headers.get('x-ms-date', '').lower()}\n\n"
    digest = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
    if given != f"type=master&ver=1.0&sig={base64.b64encode(digest).decode()}":
        raise RefusedError(401, "The input authorization token can't serve the request. The wrong key is being used")
