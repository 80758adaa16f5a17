"""What is sent with files of requests, made while it is sent: a batch of 256 MB takes no memory.

multipart    fields, then the file                        OpenAI and those who speak its format
array        JSON with an array of the file's lines       Anthropic, Bright Data, Apify
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

REQUESTS = '"{requests}"'  # in a body of JSON: where the array belongs
_JSON_LINES = "application/jsonl"
_LINES_BYTES = 256 * 1024


@contextmanager
def multipart(path: Path, fields: Mapping[str, Any], file_field: str, name: str) -> Iterator[aiohttp.FormData]:
    """A form with a file in it.

    Args:
      name: that the provider sees.
    """
    with path.open("rb") as file:
        form = aiohttp.FormData()
        for field, value in fields.items():
            form.add_field(field, str(value))
        form.add_field(file_field, file, filename=name, content_type=_JSON_LINES)
        yield form


def has_requests(body: Any) -> bool:
    """Whether an array of the requests belongs into a body of plain JSON."""
    return REQUESTS in json.dumps(body)


class LinesInJson:
    """A text of JSON with an array of a file's lines in it.

    Args:
      body: plain JSON; the text "{requests}" in it stands for the array.
      path: of the file. Blank lines are left out.
    """

    def __init__(self, body: Any, path: Path):
        before, _, after = json.dumps(body).partition(REQUESTS)
        self._before, self._after, self._path = f"{before}[".encode(), f"]{after}".encode(), path

    def size(self) -> int:
        """Bytes of the text. Reads the file."""
        lines = [0, 0]
        for block in self._blocks():
            lines[0] += len(block)
            lines[1] += sum(map(len, block))
        return len(self._before) + lines[1] + max(0, lines[0] - 1) + len(self._after)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The text, in parts."""
        yield self._before
        separator = b""
        for block in self._blocks():
            if block:
                yield separator + b",".join(block)
                separator = b","
        yield self._after

    def _blocks(self) -> Iterator[list[bytes]]:
        with self._path.open("rb") as file:
            while lines := file.readlines(_LINES_BYTES):
                yield [stripped for line in lines if (stripped := line.strip())]
