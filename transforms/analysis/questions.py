"""The bodies of requests to a chat API: what all records share is made once, a record's payload is put into it.

    template of the description ──instructions, schema, limit──▶ b'{"messages":[…,"' payload '"}],…}'

Guarantee: the same request has the same bytes, and requests that share instructions and schema begin alike, which is
what prompt caches go by.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from transforms.analysis.chat import ChatRequest
from transforms.providers.chat import CACHE_KEY, INSTRUCTIONS, MAX_OUTPUT_TOKENS, MODEL, PAYLOAD, SCHEMA
from transforms.providers.templates import placed

_KEY_CHARS = 32  # of a cache key: OpenAI takes 64


class Questions:
    """Makes bodies for one model.

    Args:
      template: the `body` of a description's chat.
    """

    def __init__(self, template: Any, model: str):
        self._template, self._model = template, model
        self._made_for: tuple[str, Mapping[str, Any], int] | None = None
        self._parts: list[bytes] = []

    def body(self, request: ChatRequest) -> bytes:
        """A request's body, JSON.

        >>> questions = Questions({"model": "{model}", "user": "<{payload}>", "s": "{schema}"}, "m")
        >>> questions.body(ChatRequest("be brief", {"type": "object"}, '{"a": "ä"}', 100)).decode()
        '{"model":"m","user":"<{\\\\"a\\\\": \\\\"ä\\\\"}>","s":{"type":"object"}}'
        """
        shared = (request.instructions, request.schema, request.max_output_tokens)
        if shared != self._made_for:
            self._parts, self._made_for = self._shared(request), shared
        return _quoted(request.payload)[1:-1].join(self._parts)

    def _shared(self, request: ChatRequest) -> list[bytes]:
        mark = uuid.uuid4().hex  # which nothing else has in it
        schema = dict(request.schema)
        fixed = json.dumps([self._model, request.instructions, schema], sort_keys=True)
        body = placed(
            self._template,
            {
                MODEL: self._model,
                INSTRUCTIONS: request.instructions,
                PAYLOAD: mark,
                SCHEMA: schema,
                MAX_OUTPUT_TOKENS: request.max_output_tokens,
                CACHE_KEY: hashlib.sha256(fixed.encode()).hexdigest()[:_KEY_CHARS],
            },
        )
        return _quoted(body).split(mark.encode())


def _quoted(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # half of a surrogate pair, which UTF-8 has no bytes for
        return json.dumps(value, separators=(",", ":")).encode()
