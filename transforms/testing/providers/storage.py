"""Where requests and results of Vertex AI are: in a folder of this computer, or at a Cloud Storage emulator.

gs://bucket/name ──▶ FOLDER/bucket/name
                 └─▶ http://127.0.0.1:9023, by the JSON API
/tmp/name        ──▶ that file
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import aiohttp

from transforms.services import STORAGE_EMULATOR
from transforms.testing.providers.dialect import RefusedRequestError


class _Object(NamedTuple):
    emulator: str
    bucket: str
    name: str


class Storage:
    """Reads and writes objects.

    Args:
      place: where `gs://` is: a folder or a URL; None: the URL in the environment's STORAGE_EMULATOR_HOST.
    """

    def __init__(self, place: str | None):
        self._place = place or os.environ.get(STORAGE_EMULATOR)

    async def read(self, uri: str) -> bytes:
        """An object. Raises RefusedRequestError with 404, or 400 if nobody says where `gs://` is."""
        found = self._found(uri)
        if isinstance(found, Path):
            try:
                return found.read_bytes()
            except OSError:
                raise RefusedRequestError(404, f"no object {uri}") from None
        url = f"{found.emulator}/storage/v1/b/{found.bucket}/o/{quote(found.name, safe='')}?alt=media"
        async with aiohttp.ClientSession() as session, session.get(url) as answered:
            if answered.status != 200:
                raise RefusedRequestError(404, f"no object {uri}")
            return await answered.read()

    async def write(self, uri: str, content: bytes) -> None:
        """Creates or replaces an object. Raises RefusedRequestError as `read`."""
        found = self._found(uri)
        if isinstance(found, Path):
            found.parent.mkdir(parents=True, exist_ok=True)
            found.write_bytes(content)
            return
        name = quote(found.name, safe="")
        url = f"{found.emulator}/upload/storage/v1/b/{found.bucket}/o?uploadType=media&name={name}"
        async with aiohttp.ClientSession() as session, session.post(url, data=content) as answered:
            answered.raise_for_status()

    def _found(self, uri: str) -> Path | _Object:
        parts = urlsplit(uri)
        if not parts.scheme:
            return Path(uri)
        if parts.scheme != "gs" or not parts.netloc:
            raise RefusedRequestError(400, f"{uri} is not gs://BUCKET/NAME")
        if not self._place:
            raise RefusedRequestError(400, f"gs of the script, or {STORAGE_EMULATOR}, must say where gs:// is")
        name = parts.path.lstrip("/")
        if "://" in self._place:
            return _Object(self._place, parts.netloc, name)
        return Path(self._place) / parts.netloc / name
