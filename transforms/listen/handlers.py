"""Changes into a Python function of one's own, sync or async: `--handler=my_module:on_change`.

    from transforms.listen.handlers import HandledChange

    def on_change(change: HandledChange) -> None: ...
    async def on_change(change: HandledChange) -> None: ...

Guarantee: the function is called for every change at least once, for changes of one document in their order, and a
change counts as handled when it returns. What it raises makes a dead letter, which comes again. A change that comes
twice has the same `event_id`. Async functions are called for up to 100 documents of a batch at once, in one event loop;
sync ones for one after the other.
"""

from __future__ import annotations

import asyncio
import datetime
import importlib
import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

from transforms.batch import Batch, BatchResult, DeadLetter
from transforms.errors import JobError, RecordError, TransientError, UsageError
from transforms.export.changelog import DELETE, event_id
from transforms.firestore.changes.change import ChangeKind
from transforms.listen.entries import Changed, refused

STEP = "HandleChanges"
_MAX_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class HandledChange:
    """A change as a handler gets it.

    Attributes:
      kind: added, modified or removed.
      path: of the document.
      fields: of the document as it is now; None if it is removed.
      record: what the record spec made of them; None without a spec, and for a removed one.
      deleted: of a removed one, whether the document is gone; False if it only left the query.
      update_time: version of the document; of a removed one the last that is known, or None.
      read_time: of the snapshot that shows the change.
      stream_id: of the stream.
      parameters: of the stream and of the path, such as {"instrument": "EUR_USD"}.
      event_id: the same whenever this change comes again.
      attempts: how often it failed before.
    """

    kind: ChangeKind
    path: str
    fields: Mapping[str, Any] | None
    record: Mapping[str, Any] | None
    deleted: bool
    update_time: datetime.datetime | None
    read_time: datetime.datetime
    stream_id: str
    parameters: Mapping[str, str]
    event_id: str
    attempts: int = 0


Handler: TypeAlias = Callable[[HandledChange], object]


@dataclass(frozen=True)
class HandlerSink:
    """Calls a function for every change.

    Attributes:
      name: MODULE:FUNCTION.
      prefix: of the full names of documents, `projects/P/databases/D/documents/`.
    """

    name: str
    prefix: str

    @property
    def step(self) -> str:
        """See `ChangeSink`."""
        return STEP

    def open(self) -> HandlerWriter:
        """See `ChangeSink`."""
        return HandlerWriter(load_handler(self.name), self.prefix)


class HandlerWriter:
    """Calls one handler; for one thread.

    Args:
      handler: sync or async.
      prefix: as in `HandlerSink`.
    """

    def __init__(self, handler: Handler, prefix: str):
        self._handler, self._prefix = handler, prefix
        self._loop = asyncio.new_event_loop()  # one for all batches: clients that the handler keeps belong to it

    def write(self, batch: Batch[Changed]) -> Batch[Changed]:
        """The batch without the changes that the handler refused.

        Raises:
          TransientError, JobError: raised by the handler.
        """
        changes = [handled(entry, batch.source, self._prefix) for entry in batch.entries]
        failures = self._loop.run_until_complete(self._call_all(changes))
        for failure in failures:
            if isinstance(failure, JobError | TransientError):
                raise failure
        result: BatchResult[Changed] = BatchResult(batch)
        for entry, failure in zip(batch.entries, failures, strict=True):
            if failure is None:
                result.entries.append(entry)
            else:
                result.dead_letters.append(_dead_letter(entry, failure))
        return result.closed()

    def close(self) -> None:
        """Ends the event loop."""
        self._loop.close()

    async def _call_all(self, changes: list[HandledChange]) -> list[Exception | None]:
        """What each call raised; a sync function runs here to its end, so its calls are one after the other."""
        free = asyncio.Semaphore(_MAX_AT_ONCE)

        async def call(change: HandledChange) -> Exception | None:
            async with free:
                return await self._call(change)

        return await asyncio.gather(*map(call, changes))

    async def _call(self, change: HandledChange) -> Exception | None:
        try:
            result = self._handler(change)
            if isinstance(result, Awaitable):
                await result
        except Exception as error:  # a function of the user's may raise anything
            return error
        return None


def load_handler(name: str) -> Handler:
    """The function that `--handler` names. The current directory is looked in as well, last.

    Raises:
      UsageError: it cannot be imported, or cannot be called.

    >>> load_handler("json:dumps").__name__
    'dumps'
    >>> load_handler("json:dump_all")
    Traceback (most recent call last):
    transforms.errors.UsageError: --handler=json:dump_all: module json has no 'dump_all'; check the name behind the colon
    """  # noqa: E501  # the message is one line
    module_name, _, path = name.partition(":")
    if not (module_name and path):
        raise UsageError(f"--handler must be MODULE:FUNCTION, such as my_module:on_change, got {name!r}")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the user's may raise anything
        raise UsageError(f"--handler={name}: {_why_not_imported(module_name, error)}") from error
    try:
        handler = attrgetter(path)(module)
    except AttributeError:
        raise UsageError(
            f"--handler={name}: module {module_name} has no {path!r}; check the name behind the colon"
        ) from None
    if not callable(handler):
        raise UsageError(f"--handler={name}: {path} is a {type(handler).__name__}; it must be a function of one change")
    _check_takes_one(name, handler)
    found: Handler = handler
    return found


def handled(entry: Changed, stream_id: str, prefix: str) -> HandledChange:
    """A change as a handler gets it."""
    change = entry.change
    return HandledChange(
        change.kind,
        entry.key,
        None if change.document is None else change.document.fields,
        entry.record,
        change.deleted,
        change.update_time,
        change.read_time,
        stream_id,
        entry.parameters,
        event_of(entry, prefix),
        entry.attempts,
    )


def event_of(entry: Changed, prefix: str) -> str:
    """The id of the event, the same in every sink and whenever it comes again."""
    return event_id(prefix + entry.key, entry.change.update_time, *([DELETE] if entry.is_removed else []))


def _dead_letter(entry: Changed, failure: Exception) -> DeadLetter:
    if isinstance(failure, RecordError):
        return refused(entry, STEP, failure.code, failure.message, retryable=False)
    at = traceback.extract_tb(failure.__traceback__)[-1]
    message = f"the handler raised {type(failure).__name__} in {at.name}, line {at.lineno}"  # its text may hold values
    return refused(entry, STEP, "HANDLER_FAILED", message, retryable=True)


def _why_not_imported(module_name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        if module_name == error.name or module_name.startswith(f"{error.name}."):
            return f"there is no module {error.name}; run in its directory, or add that to PYTHONPATH"
        return f"module {module_name} imports {error.name}, which is not installed"
    lines = " ".join(str(error).split())
    return f"module {module_name} cannot be imported: {type(error).__name__}: {lines}"


def _check_takes_one(name: str, handler: Callable[..., object]) -> None:
    try:
        inspect.signature(handler).bind(None)
    except ValueError:  # of a function that does not say
        return
    except TypeError as error:
        raise UsageError(f"--handler={name}: cannot be called with one change: {error}") from None
