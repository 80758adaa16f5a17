"""A script that is wrong is refused where it is written, with the place."""

import pytest

from transforms.testing.providers import scripted_provider
from transforms.testing.providers.script import parse_script


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ({"batch": []}, "script: unknown key 'batch'; there are api_key, batches, cache_min_tokens, chat,"),
        ({"batches": [{}, {"ready": 1}]}, "batches[1]: unknown key 'ready'; there are "),
        ({"batches": [{"outcome": "done"}]}, "batches[0]: outcome must be one of complete, failed, "),
        ({"batches": [{"unanswered": 2}]}, "batches[0]: unanswered must be in [0, 1], got 2"),
        ({"endpoints": [{"endpoint": "creat"}]}, "endpoints[0]: endpoint must be one of upload, files, create, "),
        ({"endpoints": [{"endpoint": "create", "lost": "now"}]}, "endpoints[0]: lost must be one of None, before, "),
        ({"existing": [{"id": "b"}]}, "existing[0]: requests are missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(script, message):
    with pytest.raises(ValueError) as refused:
        parse_script(script)
    assert str(refused.value).startswith(message)


def test_a_wrong_script_and_an_unknown_provider_are_refused_before_anything_starts():
    with pytest.raises(ValueError, match="unknown key 'outcom'"):
        with scripted_provider("openai", {"batches": [{"outcom": "failed"}]}):
            pass
    with pytest.raises(ValueError, match=r"^provider must be one of anthropic, .*, got 'opnai'$"):
        with scripted_provider("opnai"):
            pass
