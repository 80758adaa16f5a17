"""Every provider's dialect by its name."""

from __future__ import annotations

from transforms.testing.providers.anthropic import Anthropic
from transforms.testing.providers.apify import Apify
from transforms.testing.providers.bright_data import BrightData
from transforms.testing.providers.dialect import Dialect
from transforms.testing.providers.gemini import Gemini
from transforms.testing.providers.mistral import Mistral
from transforms.testing.providers.openai import AzureOpenAi, Groq, OpenAi
from transforms.testing.providers.script import check_provider
from transforms.testing.providers.together import Together
from transforms.testing.providers.vertex import Vertex

_DIALECTS: dict[str, type[Dialect]] = {
    "anthropic": Anthropic,
    "apify": Apify,
    "azure_openai": AzureOpenAi,
    "brightdata": BrightData,
    "gemini": Gemini,
    "groq": Groq,
    "mistral": Mistral,
    "openai": OpenAi,
    "together": Together,
    "vertex": Vertex,
}


def dialect_of(provider: str) -> type[Dialect]:
    """Raises ValueError for an unknown one."""
    check_provider(provider)
    return _DIALECTS[provider]
