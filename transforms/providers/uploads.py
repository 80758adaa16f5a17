"""A file of requests on its way to the provider, before a batch is created of it.

    multipart   one form
    resumable   Google's: start ─▶ the address for the content ─▶ content; cut off, it begins again
    copy_to     into Cloud Storage, or wherever the description says

An upload that fails is sent again: a file that nobody uses costs nothing.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from transforms import files
from transforms.errors import JobError, TransientError
from transforms.providers.answers import text_at
from transforms.providers.bodies import multipart
from transforms.providers.description import Call, Upload
from transforms.providers.http import FAILURES, ProviderHttp, json_body
from transforms.providers.templates import fill, filled

_JSON_LINES = "application/jsonl"
# A file of 200 MB is checked within a minute or two; learn.microsoft.com, Azure OpenAI, batch.
_CHECK_EVERY_S, _MAX_CHECKS = 2.0, 150
_UPLOAD_URL = "X-Goog-Upload-URL"


async def upload(http: ProviderHttp, how: Upload, requests: Path, key: str) -> str:
    """Brings a file to the provider and returns its id, or its place, once it may be used.

    Args:
      key: that the file is named by.
    """
    if how.copy_to:
        return await _copied(http, requests, fill(how.copy_to, {"key": key}))
    fields = filled(dict(how.fields), {"key": key})
    name = f"{key}.jsonl"
    if how.multipart:
        body = partial(multipart, requests, fields, how.file_field, name)
        answer = (await http.ask(how.multipart, {}, body=body)).value
    elif how.resumable:
        answer = await http.retry.acall(
            partial(_resumed, http, how.resumable, requests, fields),
            catch=FAILURES,
            meaning=lambda error, attempts: http.provider.meaning(error),
        )
    else:
        raise AssertionError("a description has one of three ways to upload")
    file = text_at(how.file, answer)
    if not file:
        raise JobError(f"{http.provider.name} names no file in its answer to an upload: check the description's upload")
    await _wait_until_ready(http, how, file, answer)
    return file


async def _resumed(http: ProviderHttp, call: Call, requests: Path, fields: Mapping[str, Any]) -> Any:
    """Source: ai.google.dev/api/files, and google-genai's client."""
    size = requests.stat().st_size
    headers, body = json_body(fields)
    start = {
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": str(size),
        "X-Goog-Upload-Header-Content-Type": _JSON_LINES,
    }
    begun = await http.once(call.method, http.url(call, {}), {**headers, **start}, body)
    url = begun.headers.get(_UPLOAD_URL)
    if not url:
        raise JobError(f"{http.provider.name} names no address for the content of an upload")
    content = {
        "X-Goog-Upload-Command": "upload, finalize",
        "X-Goog-Upload-Offset": "0",
        "Content-Length": str(size),
        "Content-Type": _JSON_LINES,
    }
    return (await http.once("POST", url, content, partial(requests.open, "rb"))).value


async def _wait_until_ready(http: ProviderHttp, how: Upload, file: str, answer: Any) -> None:
    if how.ready is None:
        return
    for _ in range(_MAX_CHECKS):
        if how.ready.read(answer):
            return
        await http.retry.clock.asleep(_CHECK_EVERY_S)
        if how.check is not None:
            answer = (await http.ask(how.check, {"file": file})).value
    raise TransientError(f"{http.provider.name} has not checked the uploaded file {file} in time")


async def _copied(http: ProviderHttp, requests: Path, target: str) -> str:
    def copy() -> None:
        with requests.open("rb") as source, files.replaced_file(target, _JSON_LINES) as copied:
            shutil.copyfileobj(source, copied, 2**20)

    await http.retry.acall(
        lambda: asyncio.to_thread(copy),
        catch=OSError,
        meaning=lambda error, attempts: TransientError(
            f"{files.shown(target)} cannot be written: {files.reason(error)}"
        ),
    )
    return target
