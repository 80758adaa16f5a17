"""A server that is not ours tells OpenAI's own client the same things in the same words."""

import json

import openai
import pytest

from tests.support.listen import wait_until
from tests.support.llmock import llmock
from tests.support.provider_client import chat_lines
from tests.support.provider_in_thread import provider_in_thread

# What llmock leaves out.
OURS_ALONE = {"model", "usage"}


@pytest.fixture(scope="module")
def theirs():
    with llmock() as address:
        yield f"{address}/v1"


def facts(base_url):
    """What the client is told of a batch from its creation to its results."""
    client = openai.OpenAI(api_key="key", base_url=base_url, max_retries=0)
    content = "".join(json.dumps(line) + "\n" for line in chat_lines({"n": 0}, {"n": 1})).encode()
    file = client.files.create(file=("requests.jsonl", content), purpose="batch")
    created = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"firebeam_key": "fb-1"},
    )
    wait_until(lambda: client.batches.retrieve(created.id).status == "completed")
    (over,) = client.batches.list().data
    lines = [json.loads(line) for line in client.files.content(over.output_file_id).text.splitlines()]
    return {
        "created": (created.status, created.request_counts.to_dict(), created.metadata),
        "over": (over.status, over.request_counts.to_dict(), over.metadata, over.error_file_id, over.errors),
        "told": {name for name, value in over.to_dict().items() if value is not None} - OURS_ALONE,
        "lines": sorted((line["custom_id"], *sorted(line), *sorted(line["response"])) for line in lines),
    }


def test_a_batch_is_told_of_alike(theirs):
    with provider_in_thread("openai", {"batches": [{"ready_s": 0.5}]}) as server:
        assert facts(server.base_url) == facts(theirs)


def test_what_is_not_there_is_refused_alike(theirs):
    with provider_in_thread("openai") as server:
        for base_url in (server.base_url, theirs):
            client = openai.OpenAI(api_key="key", base_url=base_url, max_retries=0)
            with pytest.raises(openai.NotFoundError):
                client.batches.retrieve("batch_x")
            with pytest.raises(openai.NotFoundError):
                client.files.content("file-x")
