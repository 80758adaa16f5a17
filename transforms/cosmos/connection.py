"""A process's connection to one container: one client, one retry layer, one budget of request units.

    request ──▶ budget ──▶ azure-cosmos, its own retries switched off ──▶ Answered: value, headers, charge
                  ▲                    │ StatusError, AzureError
                  └── Retry.call ◀─────┘ meaning: TransientError is sent again, when the service says so

What the SDK still does by itself is to find its way: after a split it asks for the new partitions.
"""

from __future__ import annotations

import enum
import functools
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from transforms.cosmos.failures import failures, meaning, not_a_key, status_error
from transforms.cosmos.status import StatusError
from transforms.cosmos.target import CLIENT_OPTIONS, INSTALL, CosmosTarget
from transforms.cosmos.throttle import RequestUnits
from transforms.errors import FirebeamError, JobError

if TYPE_CHECKING:
    from azure.cosmos import ContainerProxy, CosmosClient

T = TypeVar("T")
Hook = Callable[[Mapping[str, str], object], None]

CHARGE = "x-ms-request-charge"

_CONNECT_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 65.0  # a page of the feed is given up by the service after 5 s


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What a request gave.

    Attributes:
      headers: of the last answer.
      charge: request units, failed attempts included.
    """

    value: T
    headers: Mapping[str, str]
    charge: float


class Refused(enum.Enum):
    """What a request about one item finds instead of doing it."""

    MISSING = "there is no such item"
    EXISTS = "there is one already"
    CHANGED = "it is another version"


REFUSALS = {404: Refused.MISSING, 409: Refused.EXISTS, 412: Refused.CHANGED}


def refusal_of(refused: StatusError) -> Refused | None:
    """What a request about one item has found; None if it says nothing about the item."""
    return None if refused.sub_status else REFUSALS.get(refused.status)


@dataclass(frozen=True)
class Properties:
    """A container as it is.

    Attributes:
      rid: the service's own name of it; another one once it is created again.
      link: the service's own address of it.
      key_paths: of the partition key, such as `/student_id`; several of a hierarchy.
      default_ttl: seconds; -1 for on without a default, None for off.
    """

    rid: str
    link: str
    key_paths: tuple[str, ...]
    default_ttl: int | None


class Connection:
    """One container, for all threads of a process. Connects when it is first asked.

    Args:
      target: which one.

    Attributes:
      budget: request units spent, and waited for.
    """

    def __init__(self, target: CosmosTarget):
        self.target = target
        self.budget = RequestUnits(target.max_request_units_per_s, target.retry.clock)
        self._lock = threading.Lock()
        self._client: CosmosClient | None = None
        self._properties: Properties | None = None

    @property
    def label(self) -> str:
        """The container's location."""
        return self.target.label

    @property
    def client(self) -> CosmosClient:
        """The SDK's client. Raises as `ask`."""
        with self._lock:
            if self._client is None:
                connect = _sdk_client(self.target)
                self._client = self.target.retry.call(
                    connect, catch=failures(), meaning=lambda error, _: meaning(self.label, error)
                )
            return self._client

    @functools.cached_property
    def container(self) -> ContainerProxy:
        """The SDK's container. Raises as `ask`."""
        return self.client.get_database_client(self.target.database).get_container_client(self.target.container)

    @property
    def properties(self) -> Properties:
        """The container as it was when first asked. Raises as `ask`; JobError where it does not exist."""
        if self._properties is None:
            self._properties = self.read_properties()
        return self._properties

    def read_properties(self) -> Properties:
        """The container as it is now. Raises as `properties`."""
        read = self.ask(lambda hook: self.container.read(response_hook=hook)).value
        paths = tuple(read["partitionKey"]["paths"])
        return Properties(read["_rid"], read["_self"].strip("/"), paths, read.get("defaultTtl"))

    def ask(
        self,
        request: Callable[[Hook], T],
        *,
        means: Mapping[int, FirebeamError] = MappingProxyType({}),
        within_s: float = math.inf,
    ) -> Answered[T]:
        """The answer to a request, which is sent again while it fails transiently.

        Args:
          request: sends once, with the hook that the SDK calls with an answer's headers.
          means: what a status means for this request, where it is not what it means elsewhere.
          within_s: how long after the first time it may be sent at most.

        Raises:
          JobError, TransientError: as failures.py says.
        """

        def meant(error: Exception) -> FirebeamError:
            refused = status_error(error)
            said = means.get(refused.status) if refused is not None else None
            return meaning(self.label, error) if said is None else said

        return self._ask(request, meant, within_s)

    def ask_item(self, request: Callable[[Hook], T], *, within_s: float = math.inf) -> Answered[T | Refused]:
        """As `ask`, for a request about one item: what becomes of it is a value.

        Raises:
          RecordError: the item's content or id is refused.
        """

        def send(hook: Hook) -> T | Refused:
            try:
                return request(hook)
            except failures() as error:
                refused = status_error(error)
                if refused is None or (refusal := refusal_of(refused)) is None:
                    raise
                hook(refused.headers, None)
                return refusal

        return self._ask(send, lambda error: meaning(self.label, error, is_about_item=True), within_s)

    def _ask(
        self, request: Callable[[Hook], T], meant: Callable[[Exception], FirebeamError], within_s: float
    ) -> Answered[T]:
        charges: list[float] = []
        last: Mapping[str, str] = {}

        def note(headers: Mapping[str, str], _: object) -> None:
            nonlocal last
            last = headers
            charges.append(float(headers.get(CHARGE) or 0))
            self.budget.spend(charges[-1])

        def send() -> T:
            self.budget.wait()
            return request(note)

        def noted(error: Exception, attempts: int) -> FirebeamError:
            refused = status_error(error)
            if refused is not None:
                note(refused.headers, None)
            return meant(error)

        value = self.target.retry.call(send, catch=failures(), meaning=noted, within_s=within_s)
        return Answered(value, last, sum(charges))


@functools.lru_cache(16)
def connection_of(target: CosmosTarget) -> Connection:
    """The connection of this process to a container."""
    return Connection(target)


def _sdk_client(target: CosmosTarget) -> Callable[[], CosmosClient]:
    """What connects. Raises JobError if it cannot be."""
    try:
        from azure.cosmos import CosmosClient
    except ImportError:
        raise JobError(f"Cosmos DB needs a client that is not installed: {INSTALL}") from None
    from transforms.cosmos.transport import OneAttemptTransport

    credential: Any = target.key.read() if target.key is not None else _entra_id()

    def connect() -> CosmosClient:
        try:
            return CosmosClient(
                target.endpoint,
                credential,
                transport=OneAttemptTransport(),
                connection_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=_READ_TIMEOUT_S,
                **CLIENT_OPTIONS,
                **({"priority": "Low"} if target.is_low_priority else {}),
            )
        except ValueError:
            raise not_a_key(target.label) from None

    return connect


def _entra_id() -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise JobError(f"Entra ID needs a package that is not installed: {INSTALL}") from None
    return DefaultAzureCredential()
