"""A scripted provider in a thread of the test, with a clock that the test holds: it starts in milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from transforms.testing.providers import ScriptedProvider
from transforms.testing.providers.server import ProviderServer


@contextlib.contextmanager
def provider_in_thread(
    provider: str, script: Mapping[str, Any] | None = None, now: Callable[[], float] = time.time
) -> Iterator[ScriptedProvider]:
    """Runs a provider's server for the duration of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[ProviderServer, str]:
        server = ProviderServer(provider, now)
        server.script(script or {})
        return server, await server.start()

    async def stop() -> None:
        await server.stop()
        # Those whose connection the script has cut are still about to answer.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    server, base_url = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield ScriptedProvider(base_url)
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
