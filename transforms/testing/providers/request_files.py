"""Files of requests that a client uploads, one request per line, and what is wrong with one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from transforms.testing.providers.batches import Request
from transforms.testing.providers.dialect import RefusedRequestError


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file."""

    id: str
    name: str
    purpose: str
    content: bytes
    created_at: float


class StoredFiles:
    """Files by id. `new_id` makes an id from 24 hex digits."""

    def __init__(self, now: Callable[[], float], new_id: Callable[[str], str]):
        self._now, self._new_id = now, new_id
        self._files: dict[str, StoredFile] = {}

    def add(self, name: str, purpose: str, content: bytes) -> StoredFile:
        """Keeps a file."""
        file = StoredFile(self._new_id(uuid.uuid4().hex[:24]), name, purpose, content, self._now())
        self._files[file.id] = file
        return file

    async def add_form(self, request: web.Request) -> StoredFile:
        """Keeps the `file` of a form, with its `purpose`. Raises RefusedRequestError with 400."""
        form = await request.post()
        file = form.get("file")
        if not isinstance(file, web.FileField):
            raise RefusedRequestError(400, "the form has no file")
        return self.add(file.filename, str(form.get("purpose", "")), file.file.read())

    def get(self, file_id: str) -> StoredFile:
        """The file of this id. Raises RefusedRequestError with 404."""
        if file_id not in self._files:
            raise RefusedRequestError(404, f"no file {file_id}")
        return self._files[file_id]

    def remove(self, file_id: str) -> None:
        """Forgets a file. Raises RefusedRequestError with 404."""
        del self._files[self.get(file_id).id]

    def newest_first(self) -> list[StoredFile]:
        """All of them."""
        return list(reversed(self._files.values()))


def requests_of(lines: Iterable[Mapping[str, Any]], body: str = "body") -> list[Request]:
    """Requests as lines have them: `custom_id`, and what the model is asked."""
    return [Request(str(line.get("custom_id", "")), line.get(body, {}), line) for line in lines]


def read_requests(content: bytes, required: Sequence[str] = ("custom_id", "body")) -> list[Request]:
    """The requests of a file.

    Raises:
      RefusedRequestError: 400 with the code that OpenAI gives such a file: `empty_file`, `invalid_json_line`,
        `missing_required_parameter`, `duplicate_custom_id`.

    >>> [request.custom_id for request in read_requests(b'{"custom_id": "a", "body": {}}')]
    ['a']
    """
    lines = []
    for number, text in enumerate(content.decode().splitlines(), 1):
        try:
            line = json.loads(text)
        except ValueError:
            raise RefusedRequestError(400, f"line {number} is not JSON", "invalid_json_line") from None
        missing = [name for name in required if name not in line]
        if missing:
            raise RefusedRequestError(400, f"line {number} has no {missing[0]}", "missing_required_parameter")
        lines.append(line)
    if not lines:
        raise RefusedRequestError(400, "the file is empty", "empty_file")
    requests = requests_of(lines)
    if len({request.custom_id for request in requests}) < len(requests):
        raise RefusedRequestError(400, "a custom_id is there twice", "duplicate_custom_id")
    return requests
