"""Runs the page's server until it is asked to stop, and says where it is."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from aiohttp import web

from pipeline.present.page.document import job_document, jobs_document
from pipeline.run.job_config import check_job_id
from pipeline.serve.app import JOBS_TOPIC, Pages
from pipeline.serve.followed import followed_pairs
from pipeline.serve.jobs import recent_statuses
from pipeline.serve.reading import JobReader
from pipeline.serve.watch import Read, Topic, Topics
from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient
from transforms.ledger.jobs import RUNNING
from transforms.ledger.jobs import job_document as document_of
from transforms.retry import Retry

_SHOWN_JOBS = 50
_END_S = 1.0


def topics_of(client: FirestoreClient, refresh_s: float, *, show_ids: bool, retry: Retry | None = None) -> Topics:
    """What people can look at in a database."""
    retry = retry or Retry()

    def read_jobs() -> dict[str, object]:
        statuses, _ = recent_statuses(client, _SHOWN_JOBS, retry)
        followed, _ = followed_pairs(client, retry)
        return jobs_document(client.target.name, statuses, document_of(client, "", retry).now(), followed)

    def make(name: str) -> Topic:
        if name == JOBS_TOPIC:
            return Topic(read_jobs, _is_any_running, refresh_s)
        check_job_id(name)
        return Topic(_reads(client, name, retry, show_ids), lambda found: found["state"] == RUNNING, refresh_s)

    return Topics(make)


def _is_any_running(found: Mapping[str, Any]) -> bool:
    return any(each["state"] == RUNNING for each in (*found["jobs"], *found["followed"]))


def _reads(client: FirestoreClient, job_id: str, retry: Retry, show_ids: bool) -> Read:
    reader = JobReader(document_of(client, job_id, retry))
    return lambda: job_document(reader.read(), show_ids=show_ids)


@contextlib.asynccontextmanager
async def serving(pages: Pages, port: int) -> AsyncIterator[int]:
    """Answers until the block ends; gives the port, which is free to choose where 0 is asked for.

    Raises:
      UsageError: the port is taken, or the host is not this computer's.
    """
    runner = web.AppRunner(pages.app(), access_log=None, handler_cancellation=True, shutdown_timeout=_END_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, pages.host, port).start()
        except OSError as error:
            raise UsageError(_cannot_listen(pages.host, port, error)) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def serving_aside(make: Callable[[], Pages], port: int = 0) -> Iterator[int]:
    """As `serving`, in a thread of its own.

    Args:
      make: called in that thread.
    """
    loop, ended, started = asyncio.new_event_loop(), asyncio.Event(), Future[int]()

    async def run() -> None:
        try:
            async with serving(make(), port) as found:
                started.set_result(found)
                await ended.wait()
        except UsageError as error:
            started.set_exception(error)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="status page", daemon=True)
    thread.start()
    try:
        yield started.result()
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


async def serve(pages: Pages, port: int, say: Callable[[int], None]) -> None:
    """Answers until the process gets SIGINT or SIGTERM.

    Args:
      say: called with the port once it answers.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with serving(pages, port) as found:
        say(found)
        await ended.wait()


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    said = f"cannot listen on {host}:{port}: {error.strerror or error}"
    with contextlib.suppress(OSError), socket.create_server((host, 0)) as free:
        return f"{said}; --port={free.getsockname()[1]} is free"
    return f"{said}; is --host an address of this computer?"
