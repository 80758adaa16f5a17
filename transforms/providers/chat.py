"""How one question is asked at a provider, and what its answer costs: the `chat:` section of a description.

chat:
  request: POST /chat/completions
  body:
    model: "{model}"
    messages: [{role: system, content: "{instructions}"}, {role: user, content: "{payload}"}]
    response_format: {type: json_schema, json_schema: {name: answer, strict: true, schema: "{schema}"}}
    max_completion_tokens: "{max_output_tokens}"
  provider: OPENAI
  usage: {input: usage.prompt_tokens, output: usage.completion_tokens}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.providers.templates import fill_url, filled
from transforms.records.paths import AnyPath

MODEL, INSTRUCTIONS, PAYLOAD, SCHEMA = "model", "instructions", "payload", "schema"
MAX_OUTPUT_TOKENS, CACHE_KEY = "max_output_tokens", "cache_key"
# What a question fills in; a variable of the same name is not seen here.
OWN_NAMES = (MODEL, INSTRUCTIONS, PAYLOAD, SCHEMA, MAX_OUTPUT_TOKENS, CACHE_KEY)

# Whose answers `models.bodies` reads.
SPEAKERS = ("OPENAI", "ANTHROPIC", "GEMINI", "VERTEX")
# What a limit may count.
COUNTED = ("requests", "tokens", "input_tokens", "output_tokens")
# In the name of a limit's header, what stands for the parts: `limit`, `remaining`, `reset`.
ANY_PART = "*"


@dataclass(frozen=True)
class Usage:
    """Where in an answer its tokens are: of each kind, paths whose numbers are added up.

    Attributes:
      input: of the question, those read from or written to a prompt cache included.
      cached: read from a prompt cache.
      written: written to one.
      output: of the answer, its reasoning included.
    """

    input: tuple[AnyPath, ...]
    output: tuple[AnyPath, ...]
    cached: tuple[AnyPath, ...] = ()
    written: tuple[AnyPath, ...] = ()


@dataclass(frozen=True)
class Chat:
    """How a model is asked.

    Attributes:
      path: of the POST below the base URL.
      body: plain JSON. A text that is a name of OWN_NAMES alone becomes its value, whatever kind that is.
      provider: whose code an unusable answer gets, one of SPEAKERS.
      usage: where its tokens are.
      limits: headers of every answer that say what may still be asked, by what they count, one of COUNTED; ANY_PART in
        each stands for `limit`, `remaining` and `reset`.
      retry_after: where in a refusal the wait is, of providers that have no such header: seconds, or text like 7s.
      elsewhere: values of variables at an address that is not the provider's own.
      has_key: whether the description's own key is sent if no other one is given: never to an address of a user's own.
    """

    path: str
    body: Any
    provider: str
    usage: Usage
    limits: Mapping[str, str] = field(default_factory=dict)
    retry_after: AnyPath | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    has_key: bool = True

    def with_variables(self, values: Mapping[str, str], *, has_key: bool) -> Chat:
        """The same with the values of a user's variables."""
        return dataclasses.replace(
            self, path=fill_url(self.path, values), body=filled(self.body, values), has_key=has_key
        )
