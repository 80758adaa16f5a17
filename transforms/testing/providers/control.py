"""What a test asks the server, beside what any client may ask, and what it is told.

GET /_scripted/batches     the batches as they are
GET /_scripted/requests    every request that came
GET /_scripted/calls       every question that was answered
PUT /_scripted/script      a script, followed from now on
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

CUT = 0  # the status of a request whose connection was cut


class ProviderBatch(NamedTuple):
    """A batch as the server knows it.

    Attributes:
      ordinal: of its creation, from 0; -1 for one that existed before.
      key: what it was created with, where the provider keeps such a thing.
      parameters: of its creation.
      created_at: seconds since 1970.
      state: the provider's word.
      outcome: when it is over.
      n_triggers: how many batches there are with its key or, without one, with its requests.
      n_downloads: how often its results were sent.
    """

    ordinal: int
    id: str
    key: str | None
    parameters: Mapping[str, Any]
    custom_ids: Sequence[str]
    created_at: float
    state: str
    outcome: str | None
    n_triggers: int
    n_downloads: int


class ProviderRequest(NamedTuple):
    """A request that came.

    Attributes:
      path: with its query.
      endpoint: what a script calls it, or `signed`, or `unknown`.
      at: seconds since 1970.
      status: of the answer; CUT if there was none.
      has_credentials: whether it came with a key.
    """

    method: str
    path: str
    endpoint: str
    at: float
    status: int
    has_credentials: bool


class ProviderCall(NamedTuple):
    """A question that was answered, and so is charged for, whether the answer has arrived or not.

    Attributes:
      ordinal: in which it came, from 0, those that the limits refused included.
      payload_sha256: of its last user message, hexadecimal.
      outcome: as in `chat_script`.
      at: of its answer, seconds since 1970.
      at_once: how many questions were under way when it came, itself included.
      input_tokens: those that were read from the cache or written to it included.
    """

    ordinal: int
    payload_sha256: str
    model: str
    outcome: str
    at: float
    at_once: int
    input_tokens: int
    cached_tokens: int
    written_tokens: int
    output_tokens: int
