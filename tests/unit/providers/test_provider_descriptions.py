"""Descriptions: what is shipped loads, what is wrong says where, what is missing is named."""

import pickle

import pytest

from pipeline.providers import read_provider, shipped_providers
from tests.support.provider_host import ACME
from transforms.errors import SpecError, UsageError
from transforms.providers.description import JSON_ARRAY, JSON_LINES
from transforms.providers.load import load_description, parse_variables
from transforms.providers.remote import State

REQUIRED = {
    "azure_openai": {"resource"},
    "gemini": {"model"},
    "vertex": {"project", "bucket", "model"},
    "brightdata": {"dataset_id"},
    "apify": {"actor"},
}


def test_ten_providers_are_shipped():
    compatible = ["azure_openai", "groq", "mistral", "openai", "together"]
    assert shipped_providers() == sorted([*compatible, "anthropic", "apify", "brightdata", "gemini", "vertex"])


@pytest.mark.parametrize("name", shipped_providers())
def test_a_shipped_description_has_the_name_of_its_file_and_all_that_is_needed(name):
    description = read_provider(name)
    assert description.name == name
    assert description.create
    assert description.listing
    assert description.cancel
    assert description.requests.format == (JSON_ARRAY if description.upload is None else JSON_LINES)
    assert State.READY in description.batch.states.values()


@pytest.mark.parametrize("name", shipped_providers())
def test_a_shipped_description_names_each_variable_that_must_be_set(name):
    needed = REQUIRED.get(name, set())
    for missing in needed:
        given = dict.fromkeys(needed - {missing}, "x")
        with pytest.raises(UsageError, match=f"^{name} needs {missing}: pass --provider_var={missing}=VALUE$"):
            read_provider(name).with_variables(given, creates=True)
    read_provider(name).with_variables(dict.fromkeys(needed, "x"), creates=True)


@pytest.mark.parametrize("name", shipped_providers())
def test_a_description_reaches_a_worker_as_it_is(name):
    description = read_provider(name).with_variables(dict.fromkeys(REQUIRED.get(name, ()), "x"), creates=True)
    assert pickle.loads(pickle.dumps(description)) == description


def test_what_only_a_create_needs_is_not_needed_to_take_what_exists():
    description = read_provider("brightdata").with_variables({}, creates=False)
    assert description.listing is None
    assert read_provider("brightdata").with_variables({"dataset_id": "gd_1"}, creates=False).listing is not None
    assert read_provider("openai").with_variables({}, creates=False).listing is not None
    with pytest.raises(UsageError, match="azure_openai needs resource"):
        read_provider("azure_openai").with_variables({}, creates=False)


def test_values_are_quoted_in_addresses_and_plain_in_bodies():
    description = load_description(ACME, "acme.yaml").with_variables({"team": "a&b=c", "kind": "a&b"}, creates=True)
    assert description.create.call.path == "/jobs?team=a%26b%3Dc"
    assert description.create.body == {"items": "{requests}", "kind": "a&b"}


def test_an_entry_of_an_empty_variable_is_left_out():
    body = read_provider("mistral").with_variables({}, creates=True).create.body
    assert "model" not in body
    assert read_provider("mistral").with_variables({"model": "m"}, creates=True).create.body["model"] == "m"


def test_a_variable_may_be_made_of_another_one():
    given = {"project": "p", "bucket": "b", "model": "m"}
    description = read_provider("vertex").with_variables(given, creates=True)
    assert description.upload.copy_to == "gs://b/firebeam/{key}/requests.jsonl"
    assert description.base_url == "https://us-central1-aiplatform.googleapis.com"


def test_a_shipped_description_can_be_pointed_at_another_address():
    given = parse_variables(["base_url=http://127.0.0.1:8080/v1/"])
    assert read_provider("azure_openai").with_variables(given, creates=True).base_url == "http://127.0.0.1:8080/v1"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["dataset_id"], "--provider_var must be like dataset_id=VALUE, got 'dataset_id'"),
        (["=x"], "--provider_var must be like dataset_id=VALUE, got '=x'"),
        (["a=1", "a=2"], "--provider_var sets a twice; remove one"),
        (["base_url=http://acme.example"], "--provider_var=base_url must begin with https://"),
    ],
)
def test_variables_that_cannot_be_read_say_so(texts, message):
    with pytest.raises(UsageError) as refused:
        parse_variables(texts)
    assert str(refused.value).startswith(message)


def test_an_unknown_variable_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"has no variable 'dataset'; did you mean dataset_id\? Known: base_url"):
        read_provider("brightdata").with_variables({"dataset": "gd_1"}, creates=True)


def test_an_unknown_provider_is_answered_with_the_nearest(tmp_path):
    (tmp_path / "acme.yaml").write_text(ACME)
    with pytest.raises(UsageError, match=r"there is no provider 'open_ai'; did you mean openai\?"):
        read_provider("open_ai")
    with pytest.raises(UsageError, match=r"there is no provider 'acne'; did you mean acme\?"):
        read_provider("acne", [str(tmp_path / "acme.yaml")])


def test_a_file_adds_a_provider_or_takes_the_place_of_a_shipped_one(tmp_path):
    (tmp_path / "acme.yaml").write_text(ACME)
    (tmp_path / "mine.yaml").write_text(ACME.replace("name: acme", "name: openai"))
    files = [str(tmp_path / name) for name in ("acme.yaml", "mine.yaml")]
    assert read_provider("acme", files).base_url == "https://api.acme.example"
    assert read_provider("openai", files).base_url == "https://api.acme.example"
    assert read_provider("groq", files).base_url == "https://api.groq.com/openai/v1"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "problem"),
    [
        ("name: acme", "name: Acme", 1, "name", "must consist of small letters"),
        ("name: acme", "nmae: acme", 1, "nmae", "unknown key; did you mean name?"),
        ("https://api", "http://api", 2, "base_url", "must begin with https://"),
        ("https://api.acme.example", "https://{host}.example", 2, "base_url", "{host} is not known here"),
        ("{kind: fast, team: }", "{key: x}", 3, "variables.key", "key is a name of Firebeam's own"),
        ("{kind: fast, team: }", "{kind: 1}", 3, "variables.kind", "must be text"),
        ('"env:ACME_API_KEY"', "sk-literal", 4, "auth.secret", "secret must say where the secret is kept"),
        ("Bearer {secret}", "Bearer", 4, "auth.value", "must hold {secret}"),
        ("header: Authorization", 'header: "a b"', 4, "auth.header", "is not a header's name"),
        ("{header: Authorization", "{heder: Authorization", 4, "auth.heder", "did you mean header?"),
        ("POST /jobs", "POST jobs", 5, "create.request", "must be a method and a path, such as GET /batches/{id}"),
        ("POST /jobs", "PUT /jobs", 5, "create.request", "must be a POST"),
        ("{team}", "{tema}", 5, "create.request", "{tema} is not known here; did you mean team?"),
        ("{requests}", "{file}", 5, "create.body", "{file} is not known here; known: requests, key, kind, team"),
        ("id: job_id}", "id: 'job['}", 5, "create.id", "is no JMESPath expression"),
        (", page_size: 100", "", 6, "list", "'page_size' is missing here"),
        ("GET /jobs/{id}", "GET /jobs/{idd}", 7, "get", "{idd} is not known here; did you mean id?"),
        ("  created_at: created\n", "", 9, "batch", "needs key or created_at"),
        ("ready: [done], ", "", 12, "batch.states", "'ready' is missing here"),
        ("ready: [done]", "ready: [done, failed]", 12, "batch.states.failed[0]", "'failed' already means ready"),
        ("ready: [done]", "raedy: [done]", 12, "batch.states.raedy", "did you mean ready?"),
        ("GET /jobs/{result}/rows", "GET /jobs/{result}?o={offset}", 14, "results.*|results", "page_size"),
        ("max_running: 10", "max_running: 0", 15, "limits.max_running", "must be in [1, "),
        (", max_running: 10", "", 15, "limits", "'max_running' is missing here"),
    ],
)
def test_what_is_wrong_with_a_description_is_said_with_file_line_and_key(old, new, line, key, problem):
    assert old in ACME
    with pytest.raises(SpecError) as refused:
        load_description(ACME.replace(old, new), "acme.yaml")
    error = refused.value
    assert (error.file, error.line) == ("acme.yaml", line)
    assert error.key in key.split("|")
    assert problem in error.problem
    assert "sk-literal" not in str(error)


@pytest.mark.parametrize(
    ("upload", "problem"),
    [
        ("{multipart: POST /f, copy_to: gs://b, file: id}", "needs exactly one of multipart, resumable and copy_to"),
        ("{file: id}", "needs exactly one of multipart, resumable and copy_to"),
        ("{multipart: POST /f}", "'file' is missing here"),
        ("{multipart: POST /f, file: id, check: 'GET /f/{file}'}", "'ready' is missing here"),
        ("{copy_to: gs://b, file: id}", "has no meaning with copy_to"),
        ("{multipart: POST /f, file: id, fields: [a]}", "must be a map"),
    ],
)
def test_an_upload_is_one_of_three_and_complete(upload, problem):
    text = ACME.replace("{requests}", "{file}") + f"upload: {upload}\n"
    with pytest.raises(SpecError) as refused:
        load_description(text, "acme.yaml")
    assert problem in refused.value.problem


def test_a_description_says_which_refusals_mean_money_and_which_a_full_queue():
    errors = read_provider("openai").errors
    assert errors.means_no_credit("insufficient_quota", "")
    assert not errors.means_no_credit("rate_limit_exceeded", "")
    assert errors.means_queue_full("token_limit_exceeded", "")
    assert errors.means_queue_full("", "Enqueued token limit reached for gpt-4o-mini in organization org-1.")
    gemini = read_provider("gemini").errors
    said = "You exceeded your current quota, please check your plan and billing details."
    assert not gemini.means_no_credit("RESOURCE_EXHAUSTED", said)
    assert gemini.means_queue_full("RESOURCE_EXHAUSTED", said)
