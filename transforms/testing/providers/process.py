"""The server in a process of its own, seen from the test.

    test ──▶ scripted_provider ──starts──▶ python -m transforms.testing.providers ──prints──▶ its address
               │ pipe: when it closes, however the test ended, the server ends

Plain Python: aiohttp is imported by the other process only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from transforms.testing.own_process import Control, running_module
from transforms.testing.providers.control import ProviderBatch, ProviderCall, ProviderRequest
from transforms.testing.providers.script import check_provider, parse_script


class ScriptedProvider:
    """A running server.

    Attributes:
      base_url: in place of the provider's own.
    """

    def __init__(self, base_url: str):
        self.base_url = base_url
        self._ask = Control(base_url).ask

    def batches(self) -> list[ProviderBatch]:
        """All batches in the order of their creation, those that existed before first."""
        return [ProviderBatch(**each) for each in self._ask("GET", "batches")]

    def requests(self, *endpoints: str) -> list[ProviderRequest]:
        """All requests in the order they came; with names, those of these endpoints."""
        all_of_them = [ProviderRequest(**each) for each in self._ask("GET", "requests")]
        return [each for each in all_of_them if not endpoints or each.endpoint in endpoints]

    def calls(self) -> list[ProviderCall]:
        """All questions that were answered, in the order of their answers: the bill."""
        return [ProviderCall(**each) for each in self._ask("GET", "calls")]

    def script(self, script: Mapping[str, Any]) -> None:
        """Follows this script from now on; batches and endpoints that it does not name stay as they are.

        Batches that were created before go as the new script says, too. Entries for endpoints count from 0 again.

        Raises:
          ValueError: with the place of what is wrong.
        """
        parse_script(script)
        self._ask("PUT", "script", script)


@contextlib.contextmanager
def scripted_provider(provider: str, script: Mapping[str, Any] | None = None) -> Iterator[ScriptedProvider]:
    """Runs a provider's server for the duration of the block.

    Args:
      provider: one of PROVIDERS.
      script: as docs/testing.md says; default: every batch is complete after 0.2 s.

    Raises:
      ValueError: there is no such provider, or the script is wrong.
      RuntimeError: the server did not start.
    """
    check_provider(provider)
    parse_script(script or {})
    with running_module("transforms.testing.providers", f"--provider={provider}") as base_url:
        server = ScriptedProvider(base_url)
        server.script(script or {})
        yield server
