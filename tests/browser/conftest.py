"""A real browser: the Chromium of this computer, without a window, driven by playwright, which brings none."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# What a browser says itself when the server it listens to ends, as tests make it do.
_EXPECTED = ("net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING", "net::ERR_CONNECTION_RESET")


@dataclass
class Watched:
    """A page of the browser, and what it did that it should not have.

    Attributes:
      page: of playwright.
      complaints: what stood on its console, and errors of its scripts.
      hosts: whom it asked.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def n(self, selector: str) -> int:
        """How many elements there are."""
        return self.page.locator(selector).count()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser. It ends with its module: while it is there, its driver's event loop runs in this thread, and nothing
    else that needs one can be tested."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        missing = "there is no Chromium on this computer: apt-get install chromium"
        if os.environ.get("FIREBEAM_REQUIRE_EMULATORS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any) -> Iterator[Callable[..., Watched]]:
    """Opens an address; options are those of a context of playwright's."""
    with contextlib.ExitStack() as contexts:

        def open_page(url: str, **options: Any) -> Watched:
            context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
            contexts.callback(context.close)
            watched = Watched(context.new_page())
            watched.page.set_default_timeout(15_000)
            watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
            watched.page.on("console", lambda said: _note(watched, said))
            watched.page.on("request", lambda request: _note_host(watched, request.url))
            watched.page.goto(url, wait_until="load")
            return watched

        yield open_page


def _note(watched: Watched, said: Any) -> None:
    if not any(expected in said.text for expected in _EXPECTED):
        watched.complaints.append(f"{said.type}: {said.text}")


def _note_host(watched: Watched, url: str) -> None:
    address = urlsplit(url)
    if address.scheme not in ("data", "blob"):
        watched.hosts.add(address.netloc or address.scheme)
