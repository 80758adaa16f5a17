"""Polling: one request for all where there is a list, and every state of every provider means one of four."""

import asyncio
import datetime

import pytest
from aiohttp import web

from tests.support.provider_host import KEY, api_of, described, hang_up, host, in_turn, refused
from transforms.errors import JobError, TransientError
from transforms.providers.remote import RefusedError, State, UnknownBatchError


def run(answer, ask, name="openai", base="/v1", slept=None, **variables):
    """What `ask` gives or raises, and the requests that were sent."""

    async def scenario():
        async with host(answer) as server:
            async with api_of(described(name, server.url, base=base, **variables), slept=slept) as api:
                try:
                    return await ask(api), server.lines
                except Exception as error:
                    return error, server.lines

    return asyncio.run(scenario())


def batch(number, status="in_progress", **more):
    return {"id": f"b{number}", "status": status, "created_at": 1_764_493_200, **more}


def pages(asked):
    """300 batches, newest first, 100 a page; others are asked for one by one, and b1000 is not there."""
    path, _, query = asked.path.partition("?")
    if path != "/v1/batches":
        number = int(path.rpartition("/b")[2])
        return refused(404, "", "No batch found") if number == 1_000 else respond(batch(number))
    start = int(query.rpartition("after=b")[2]) if "after" in query else 301
    found = [batch(number) for number in range(start - 1, max(0, start - 101), -1)]
    return respond({"data": found, "has_more": found[-1]["id"] != "b1"})


def respond(value):
    return web.json_response(value)


def test_one_request_polls_a_hundred_batches():
    ids = {f"b{number}" for number in range(201, 301)}
    found, asked = run(pages, lambda api: api.poll(ids))
    assert found.keys() == ids
    assert asked == ["GET /v1/batches?limit=100"]


def test_pages_are_asked_for_until_all_are_found():
    ids = {f"b{number}" for number in range(1, 301, 10)}
    found, asked = run(pages, lambda api: api.poll(ids))
    assert found.keys() == ids
    assert len(asked) == 3


def test_what_the_list_lacks_is_asked_for_alone_and_what_nobody_knows_is_left_out():
    found, asked = run(pages, lambda api: api.poll({"b300", "b1000", "b2000"}))
    assert found.keys() == {"b300", "b2000"}
    alone = ["GET /v1/batches/b1000", "GET /v1/batches/b2000"]
    assert sorted(asked) == [*alone, "GET /v1/batches?limit=100", "GET /v1/batches?limit=100&after=b201"]


def test_nothing_is_asked_about_no_batches():
    assert run(pages, lambda api: api.poll(())) == ({}, [])


def test_without_a_list_each_is_asked_for():
    async def scenario():
        async with host(lambda asked: respond({"snapshot_id": asked.path[-3:], "status": "running"})) as server:
            async with api_of(described("brightdata", server.url, creates=False)) as api:
                return await api.poll({"s_1", "s_2"}), sorted(server.lines)

    found, asked = asyncio.run(scenario())
    assert found.keys() == {"s_1", "s_2"}
    assert asked == ["GET /datasets/v3/progress/s_1", "GET /datasets/v3/progress/s_2"]


def test_a_list_that_always_names_the_same_page_ends():
    answer = {"data": [batch(1)], "has_more": True}
    found, asked = run(lambda asked: respond(answer), lambda api: api.poll({f"b{n}" for n in range(9)}))
    assert "b1" in found
    assert [line for line in asked if "limit" in line] == [
        "GET /v1/batches?limit=100",
        "GET /v1/batches?limit=100&after=b1",
    ]


def test_everything_that_a_batch_says_is_read():
    answer = batch(
        1,
        "expired",
        metadata={"firebeam_key": "fb-1"},
        request_counts={"total": 10, "completed": 7, "failed": 1},
        usage={"input_tokens": 100, "output_tokens": 20},
        output_file_id="file-out",
        error_file_id="file-err",
        errors={"data": [{"code": "token_limit_exceeded", "message": "too\nmany"}]},
    )
    found, asked = run(in_turn(answer), lambda api: api.get("b1"))
    assert asked == ["GET /v1/batches/b1"]
    assert (found.id, found.state, found.key) == ("b1", State.PARTIAL, "fb-1")
    assert found.created_at == datetime.datetime(2025, 11, 30, 9, tzinfo=datetime.timezone.utc)
    assert (found.requests, found.answered, found.failed) == (10, 7, 1)
    assert (found.input_tokens, found.output_tokens) == (100, 20)
    assert (found.error_code, found.error_text) == ("token_limit_exceeded", "too many")
    assert found.results == ("file-out", "file-err")


OUT = {"output_file_id": "f"}
FOLDER = {"outputInfo": {"gcsOutputDirectory": "gs://b/o"}}
STATES = [
    ("openai", {"id": "1", "status": "validating"}, State.RUNNING),
    ("openai", {"id": "1", "status": "cancelling"}, State.RUNNING),
    ("openai", {"id": "1", "status": "a word of next year"}, State.RUNNING),
    ("openai", {"id": "1"}, State.RUNNING),
    ("openai", {"id": "1", "status": "completed", **OUT}, State.READY),
    ("openai", {"id": "1", "status": "cancelled", **OUT}, State.PARTIAL),
    ("openai", {"id": "1", "status": "expired", "output_file_id": None}, State.FAILED),
    ("openai", {"id": "1", "status": "failed"}, State.FAILED),
    ("together", {"id": "1", "status": "IN_PROGRESS"}, State.RUNNING),
    ("together", {"id": "1", "status": "EXPIRED", "error_file_id": "e"}, State.PARTIAL),
    ("mistral", {"id": "1", "status": "CANCELLATION_REQUESTED"}, State.RUNNING),
    ("mistral", {"id": "1", "status": "SUCCESS", "output_file": "f"}, State.READY),
    ("mistral", {"id": "1", "status": "TIMEOUT_EXCEEDED", "output_file": "f"}, State.PARTIAL),
    ("mistral", {"id": "1", "status": "FAILED"}, State.FAILED),
    ("anthropic", {"id": "1", "processing_status": "canceling"}, State.RUNNING),
    (
        "anthropic",
        {"id": "1", "processing_status": "ended", "results_url": "x", "request_counts": {"succeeded": 3, "expired": 0}},
        State.READY,
    ),
    (
        "anthropic",
        {"id": "1", "processing_status": "ended", "results_url": "x", "request_counts": {"canceled": 1, "expired": 0}},
        State.PARTIAL,
    ),
    ("gemini", {"name": "batches/1", "metadata": {"state": "BATCH_STATE_PENDING"}}, State.RUNNING),
    (
        "gemini",
        {"name": "batches/1", "metadata": {"state": "BATCH_STATE_SUCCEEDED", "output": {"responsesFile": "files/x"}}},
        State.READY,
    ),
    ("gemini", {"name": "batches/1", "metadata": {"state": "BATCH_STATE_EXPIRED"}}, State.FAILED),
    ("vertex", {"name": "p/1", "state": "JOB_STATE_PAUSED"}, State.RUNNING),
    (
        "vertex",
        {"name": "p/1", "state": "JOB_STATE_CANCELLED", **FOLDER},
        State.PARTIAL,
    ),
    ("vertex", {"name": "p/1", "state": "JOB_STATE_FAILED"}, State.FAILED),
    ("brightdata", {"snapshot_id": "1", "status": "digesting"}, State.RUNNING),
    ("brightdata", {"snapshot_id": "1", "status": "ready"}, State.READY),
    ("brightdata", {"snapshot_id": "1", "status": "failed", "error_message": "x"}, State.FAILED),
    ("apify", {"data": {"id": "1", "status": "TIMING-OUT", "defaultDatasetId": "d"}}, State.RUNNING),
    ("apify", {"data": {"id": "1", "status": "SUCCEEDED", "defaultDatasetId": "d"}}, State.READY),
    ("apify", {"data": {"id": "1", "status": "TIMED-OUT", "defaultDatasetId": "d"}}, State.PARTIAL),
]
VARIABLES = {
    "gemini": {"model": "m"},
    "vertex": {"project": "p", "bucket": "b", "model": "m"},
    "brightdata": {"dataset_id": "gd"},
    "apify": {"actor": "a"},
}


@pytest.mark.parametrize(("name", "answer", "state"), STATES)
def test_a_provider_s_words_mean_one_of_four_states(name, answer, state):
    found, _ = run(in_turn(answer), lambda api: api.get("1"), name, base="", **VARIABLES.get(name, {}))
    assert found.state is state


def test_numbers_that_google_writes_as_texts_are_numbers():
    answer = {"name": "b", "metadata": {"batchStats": {"requestCount": "12", "successfulRequestCount": "x"}}}
    found, _ = run(in_turn(answer), lambda api: api.get("b"), "gemini", base="", model="m")
    assert (found.requests, found.answered) == (12, None)


def test_an_unknown_id_is_told_from_a_provider_that_is_away():
    assert isinstance(run(in_turn(404), lambda api: api.get("b1"))[0], UnknownBatchError)
    assert isinstance(run(in_turn(400), lambda api: api.get("not an id"))[0], UnknownBatchError)
    error, asked = run(in_turn(503, hang_up, hang_up, 500), lambda api: api.get("b1"))
    assert isinstance(error, TransientError)
    assert len(asked) == 4
    assert KEY not in repr(error)


def test_a_key_that_is_refused_ends_the_job():
    error, asked = run(in_turn(401), lambda api: api.poll({"b1"}))
    assert isinstance(error, JobError)
    assert len(asked) == 1


def test_a_list_that_is_not_there_names_the_address():
    error, _ = run(in_turn(404), lambda api: api.poll({"b1"}))
    assert isinstance(error, JobError)
    assert "batches cannot be listed there" in str(error)
    assert "Check base_url" in str(error)


def test_a_wait_that_an_answer_asks_for_holds_for_the_next_request():
    slept = []
    answers = in_turn(lambda asked: refused(429, "rate_limit_exceeded", **{"Retry-After": "7"}), {"data": []})
    found, asked = run(answers, lambda api: api.check(), slept=slept)
    assert found == 0
    assert len(asked) == 2
    assert any(6 < seconds <= 7 for seconds in slept)


def test_an_answer_that_is_a_page_of_a_proxy_is_asked_for_again():
    found, asked = run(in_turn(web.Response(text="<html>"), {"data": []}), lambda api: api.check())
    assert (found, len(asked)) == (0, 2)


@pytest.mark.parametrize("answer", [{"id": "b1", "status": "cancelling"}, "OK", None])
def test_a_batch_is_cancelled(answer):
    _, asked = run(in_turn(lambda asked: respond(answer)), lambda api: api.cancel("b1"))
    assert asked == ["POST /v1/batches/b1/cancel"]


def test_cancelling_what_is_over_is_no_error_but_what_runs_on_is():
    done, _ = run(in_turn(400, batch(1, "completed", **OUT)), lambda api: api.cancel("b1"))
    assert done is None
    error, _ = run(in_turn(400, batch(1, "in_progress")), lambda api: api.cancel("b1"))
    assert isinstance(error, RefusedError)
