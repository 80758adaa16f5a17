"""A chat API for one test, and what is asked of it."""

from __future__ import annotations

from typing import Any

from pipeline.providers import read_provider
from tests.support.clocks import no_waiting
from transforms.analysis.chat import ChatRequest
from transforms.analysis.http_chat import HttpChatApi
from transforms.retry import Clock, Retry
from transforms.secrets import parse_secret

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "level": {"type": "string", "enum": ["junior", "senior"]}},
    "required": ["name", "level"],
    "additionalProperties": False,
}
INSTRUCTIONS = "Say who it is, and how experienced."
# Variables that a provider's chat needs beside the address.
VARIABLES = {"azure_openai": {"resource": "r"}, "vertex": {"project": "p"}}
PAYLOAD = '{"name": "Ada Lovelace", "years": 12}'


def request(payload: str = PAYLOAD, instructions: str = INSTRUCTIONS, max_output_tokens: int = 200) -> ChatRequest:
    return ChatRequest(instructions, SCHEMA, payload, max_output_tokens)


def chat_api(
    url: str,
    provider: str = "openai",
    *,
    model: str = "m-1",
    clock: Clock | None = None,
    max_attempts: int = 3,
    key: bool = True,
    **options: Any,
) -> HttpChatApi:
    """An api at another address, with the tests' key; by its clock nothing waits, unless there is another one."""
    description = read_provider(provider).for_chat({"base_url": url, **VARIABLES.get(provider, {})})
    secret = parse_secret("env:TEST_PROVIDER_KEY", "--api_key") if key else None
    retry = Retry(max_attempts=max_attempts, clock=clock or no_waiting())
    return HttpChatApi(description, model, secret, retry, **options)
