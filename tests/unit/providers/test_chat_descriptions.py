"""The `chat:` section of descriptions: what it says, and that what it cannot mean is refused with its place."""

import pickle
from contextlib import nullcontext

import pytest

from pipeline.providers import read_provider, shipped_providers
from tests.support.provider_host import ACME
from transforms.errors import SpecError, UsageError
from transforms.providers.hosts import server_url_problem
from transforms.providers.load import load_description
from transforms.providers.templates import names_in

CHATS = sorted({*shipped_providers()} - {"apify", "brightdata"})
REQUIRED = {"azure_openai": {"resource": "r"}, "vertex": {"project": "p"}}
CHAT = """\
chat:
  request: POST /chat
  body: {model: "{model}", system: "{instructions}", user: "{payload}", schema: "{schema}", n: "{max_output_tokens}"}
  provider: OPENAI
  usage: {input: [a, b.c], output: d}
  limits: {requests: X-Left-*}
  elsewhere: {kind: slow}
"""


def chat_of(name):
    return read_provider(name).for_chat(REQUIRED.get(name, {})).chat


@pytest.mark.parametrize("name", CHATS)
def test_a_shipped_description_asks_with_all_that_is_needed_and_in_an_order_that_caches(name):
    chat = chat_of(name)
    used = names_in(chat.body) + names_in(chat.path)
    assert {"model", "instructions", "payload", "schema", "max_output_tokens"} <= {*used}
    assert used.index("instructions") < used.index("payload")
    assert {*used} <= {"model", "instructions", "payload", "schema", "max_output_tokens", "cache_key"}


@pytest.mark.parametrize("name", CHATS)
def test_a_description_reaches_a_worker_as_it_is(name):
    description = read_provider(name).for_chat(REQUIRED.get(name, {}))
    assert pickle.loads(pickle.dumps(description)) == description


def test_a_model_is_not_a_variable_of_the_chat():
    assert chat_of("gemini").path == "/v1beta/models/{model}:generateContent"
    assert read_provider("mistral").for_chat({"model": "of batches"}).chat.body["model"] == "{model}"


def test_variables_that_only_batches_need_may_be_missing():
    with pytest.raises(UsageError, match=r"^vertex needs project: pass --provider_var=project=VALUE$"):
        read_provider("vertex").for_chat({})
    description = read_provider("vertex").for_chat({"project": "p"})  # neither bucket nor model
    assert description.base_url == "https://us-central1-aiplatform.googleapis.com"
    assert description.chat.path.startswith("/v1/projects/p/locations/us-central1/publishers/google/models/{model}:")


def test_a_server_of_ones_own_gets_what_it_understands_and_no_key():
    own = read_provider("openai").for_chat({}, url="http://ollama:11434/v1")
    assert own.base_url == "http://ollama:11434/v1"
    assert own.chat.body["max_tokens"] == "{max_output_tokens}"
    assert "max_completion_tokens" not in own.chat.body
    assert not own.chat.has_key
    given = read_provider("openai").for_chat({"output_limit": "max_completion_tokens"}, url="http://vllm:8000/v1")
    assert "max_tokens" not in given.chat.body
    assert read_provider("openai").for_chat({}).chat.has_key


def test_a_provider_without_chat_says_so():
    with pytest.raises(UsageError, match=r"^apify has no chat: section; choose another provider, or add one$"):
        read_provider("apify").for_chat({})


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("http://localhost:11434/v1", True),
        ("http://192.168.1.20:8000/v1", True),
        ("http://[fd00::7]:8000/v1", True),
        ("http://vllm:8000/v1", True),
        ("http://llm.team.svc:8000", True),
        ("http://llm.internal/v1", True),
        ("https://gateway.example/v1", True),
        ("http://gateway.example/v1", False),
        ("http://8.8.8.8/v1", False),
        ("http://user:password@localhost/v1", False),
        ("http://localhost/v1?key=1", False),
        ("ftp://localhost/v1", False),
        ("http:///v1", False),
    ],
)
def test_only_neighbours_are_asked_without_encryption(url, usable):
    assert (server_url_problem(url) == "") is usable
    with nullcontext() if usable else pytest.raises(UsageError, match=r"^--analyse_url must be"):
        read_provider("openai").for_chat({}, url=url)


def test_the_sections_are_read():
    chat = load_description(ACME + CHAT, "acme.yaml").for_chat({"team": "t"}).chat
    assert [path.text for path in chat.usage.input] == ["a", "b.c"]
    assert chat.limits == {"requests": "x-left-*"}
    assert chat.elsewhere == {"kind": "slow"}


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "problem"),
    [
        ("POST /chat", "GET /chat", 17, "chat.request", "must be a POST"),
        ("POST /chat", "POST /{modle}", 17, "chat.request", "{modle} is not known here; did you mean model?"),
        ('"{schema}"', '"{scheme}"', 18, "chat.body", "{scheme} is not known here"),
        (', n: "{max_output_tokens}"', "", 18, "chat.body", '"{max_output_tokens}" is missing; say where it belongs'),
        ("{instructions}", "{payload} {instructions}", 18, "chat.body", "{instructions} must come before {payload}"),
        ("OPENAI", "OPEN_AI", 19, "chat.provider", "did you mean OPENAI?"),
        ("input: [a, b.c], ", "", 20, "chat.usage", "'input' is missing"),
        ("output: d", "output: 'd['", 20, "chat.usage.output", "is no JMESPath expression"),
        ("X-Left-*", "X-Left", 21, "chat.limits.requests", "must be a header's name with *"),
        ("requests: X", "calls: X", 21, "chat.limits.calls", "unknown key"),
        ("kind: slow", "kinds: slow", 22, "chat.elsewhere.kinds", "'kinds' is not a variable; did you mean kind?"),
        ("  provider", "  answers: 1\n  provider", 19, "chat.answers", "unknown key"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(old, new, line, key, problem):
    assert old in CHAT
    with pytest.raises(SpecError) as refused:
        load_description(ACME + CHAT.replace(old, new), "acme.yaml")
    error = refused.value
    assert (error.line, error.key) == (line, key), error
    assert problem in error.problem, error
