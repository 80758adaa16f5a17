"""Requests as each provider takes them, and what its description must be told before it is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# What must be set of a description that creates; Vertex AI's bucket is never reached where `storage` is set.
VARIABLES: Mapping[str, Mapping[str, str]] = {
    "azure_openai": {"resource": "people"},
    "gemini": {"model": "gemini-2.5-flash"},
    "vertex": {"project": "p", "bucket": "b", "model": "m"},
    "brightdata": {"dataset_id": "gd_1"},
    "apify": {"actor": "apify~web-scraper"},
}
# Their requests have no names, and their results are the records themselves.
SCRAPERS = ("brightdata", "apify")


def request_line(provider: str, name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """A request that a scripted provider answers with a record; a scraper's input is called by its address."""
    content = json.dumps(record)
    if provider in SCRAPERS:
        return {"url": address(name), **record}
    if provider in ("gemini", "vertex"):
        return {"key": name, "request": {"contents": [{"role": "user", "parts": [{"text": content}]}]}}
    messages = [{"role": "user", "content": content}]
    if provider == "anthropic":
        return {"custom_id": name, "params": {"model": "m", "max_tokens": 10, "messages": messages}}
    body = {"model": "gpt-5-mini", "messages": messages}
    if provider in ("together", "mistral"):
        return {"custom_id": name, "body": body}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def address(name: str) -> str:
    """By which a script knows the input of a scraper that is called so."""
    return f"https://people.example/{name}"


def name_in_script(provider: str, name: str) -> str:
    """By which a script knows a request."""
    return address(name) if provider in SCRAPERS else name
