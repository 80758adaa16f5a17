"""A scripted provider of batches in a process of its own, for tests of pipelines that ask models or scrapers.

    from transforms.testing.providers import scripted_provider

    with scripted_provider("openai", {"batches": [{"nth": 0, "outcome": "expired"}]}) as provider:
        …                                           # the code under test, with base_url=provider.base_url
        assert [batch.n_triggers for batch in provider.batches()] == [1]

The answer to a request is the JSON of its last user message, so a test's requests hold the records it expects.
`python -m transforms.testing.providers --provider=openai` runs it for any other program. docs/testing.md says what
scripts can do, and what of each provider is imitated. Only the server's own process imports aiohttp.
"""

from transforms.testing.providers.control import ProviderBatch, ProviderCall, ProviderRequest
from transforms.testing.providers.made_up import answer_to
from transforms.testing.providers.process import ScriptedProvider, scripted_provider
from transforms.testing.providers.script import PROVIDERS

__all__ = [
    "PROVIDERS",
    "ProviderBatch",
    "ProviderCall",
    "ProviderRequest",
    "ScriptedProvider",
    "answer_to",
    "scripted_provider",
]
