"""What it means that a provider did not do what it was asked.

    | answer                                   | a question                | create                        |
    |------------------------------------------|---------------------------|-------------------------------|
    | 401, 402, 403, a code of `no_credit`     | JobError                  | JobError                      |
    | 429, 529, 503                            | sent again, bounded       | QueueFullError: not created   |
    | 408, 425, other 5xx                      | sent again, bounded       | UncertainError                |
    | 404                                      | UnknownBatchError         | JobError: no such address     |
    | other 4xx                                | RefusedError              | RefusedError                  |
    | none, nothing was sent                   | sent again, bounded       | sent again, bounded           |
    | none, the connection broke               | sent again, bounded       | UncertainError                |

No message shows a key, an address with its query, or what was sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp

from transforms.errors import FirebeamError, JobError, TransientError
from transforms.providers.description import Errors
from transforms.providers.pace import TOO_MANY_REQUESTS
from transforms.providers.remote import QueueFullError, RefusedError, UncertainError, UnknownBatchError

_UNAUTHORIZED, _PAYMENT_REQUIRED, _FORBIDDEN, _NOT_FOUND, _GONE = 401, 402, 403, 404, 410
# 529: overloaded, of Anthropic; docs.anthropic.com, api/errors.
_BUSY = frozenset({TOO_MANY_REQUESTS, 503, 529})
_TRANSIENT = _BUSY | {408, 425}

# A request whose failure is one of these has not reached the host.
NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
# All that a request can fail with for want of a network, a host that listens, or a whole answer.
BROKEN = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


class RefusalError(Exception):
    """An answer with a status that says no.

    Attributes:
      status: of HTTP.
      code, text: the provider's own; empty where it gives none.
    """

    def __init__(self, status: int, code: str = "", text: str = ""):
        self.status, self.code, self.text = status, code, text
        super().__init__(f"{status} {code}".strip())


class NotYetError(Exception):
    """The answer says that its content will be there later."""


class NotJsonError(Exception):
    """An answer that should be JSON is not, as those of proxies that are in the way."""


@dataclass(frozen=True)
class Provider:
    """Who is asked, for messages.

    Attributes:
      key: where its key comes from, such as `env:OPENAI_API_KEY`; empty if there is none.
      errors: what its codes mean.
      flag: that says where the key is.
      is_google: whether an account of Google Cloud asks; else without `key` no key is sent.
    """

    name: str
    host: str
    key: str
    errors: Errors
    flag: str = "--api_key"
    is_google: bool = True

    def of_job(self, error: RefusalError) -> JobError | None:
        """What no request can succeed before somebody has fixed; None if this is not of that kind."""
        what = f"{error.status}{f', {error.code}' if error.code else ''}"
        text = f": {error.text}" if error.text else ""
        if error.status == _PAYMENT_REQUIRED or self.errors.means_no_credit(error.code, error.text):
            return JobError(
                f"{self.name} has no credit left ({what}){text}. Add credit or raise the limit there, then run the same"
                " command again"
            )
        if error.status == _UNAUTHORIZED:
            # Without its text: it may repeat the key, or a part of it.
            return JobError(f"{self.name} does not accept the key ({what}): {self._key_fix()}")
        if error.status == _FORBIDDEN:
            whose = f"the key of {self.key}" if self.key else "the account"
            return JobError(f"{self.name} does not permit this ({what}){text}. Give {whose} the right, then run again")
        return None

    def _key_fix(self) -> str:
        if self.key:
            return f"check {self.key}, or pass another {self.flag}"
        if self.is_google:
            return "sign in to Google Cloud again"
        return f"none was sent to {self.host}; pass {self.flag}=env:NAME"

    def meaning(self, error: Exception) -> FirebeamError:
        """Of a question that failed, which may be sent again."""
        if not isinstance(error, RefusalError):
            return TransientError(f"{self.name} ({self.host}): {reason(error)}")
        if of_job := self.of_job(error):
            return of_job
        if is_transient(error):
            return TransientError(f"{self.name} answers {said(error)}")
        if error.status == _NOT_FOUND:
            return UnknownBatchError(f"{self.name} does not know it: {said(error)}")
        if error.status < 400:
            return JobError(f"{self.name} answers with a redirect ({error.status}): check base_url")
        return RefusedError(error.code or f"HTTP_{error.status}", error.text)

    def meaning_of_create(self, error: Exception) -> FirebeamError:
        """Of a create that failed. It is sent again only if it has not reached the host, which is a TransientError."""
        if isinstance(error, NOT_SENT):
            return TransientError(f"{self.name} ({self.host}): {reason(error)}")
        if not isinstance(error, RefusalError):
            return UncertainError(f"{self.name} did not answer a create: {reason(error)}")
        if of_job := self.of_job(error):
            return of_job
        if error.status in _BUSY or self.errors.means_queue_full(error.code, error.text):
            return QueueFullError(f"{self.name} accepts no more batches just now: {said(error)}")
        if is_transient(error):
            return UncertainError(f"{self.name} answered a create with {said(error)}")
        if error.status == _NOT_FOUND or error.status < 400:
            return JobError(f"{self.name} creates no batches there: {said(error)}. Check base_url and --provider_var")
        return RefusedError(error.code or f"HTTP_{error.status}", error.text)


def is_busy(error: Exception) -> bool:
    """Whether somebody was refused for want of capacity."""
    return isinstance(error, RefusalError) and error.status in _BUSY


def is_transient(error: RefusalError) -> bool:
    """Whether the same request may well be answered later."""
    return error.status in _TRANSIENT or error.status >= 500


def is_gone(error: Exception) -> bool:
    """Whether a link has expired, or what it leads to has been deleted."""
    return isinstance(error, RefusalError) and error.status in (_FORBIDDEN, _NOT_FOUND, _GONE)


def said(error: RefusalError) -> str:
    """A refusal, for people."""
    return f"{error.status}{f', {error.code}' if error.code else ''}{f': {error.text}' if error.text else ''}"


def reason(error: Exception) -> str:
    """Why a request that is not a refusal has failed, for people.

    >>> reason(asyncio.TimeoutError()), reason(NotJsonError())
    ('no answer in time', 'an answer that is not JSON; is a proxy in the way?')
    """
    if isinstance(error, NotYetError):
        return "the results are not there yet"
    if isinstance(error, NotJsonError):
        return "an answer that is not JSON; is a proxy in the way?"
    if isinstance(error, NOT_SENT):
        return "cannot be reached"
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    return f"the connection broke ({type(error).__name__})"
