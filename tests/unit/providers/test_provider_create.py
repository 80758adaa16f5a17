"""Creating a batch: what is sent, and what is known when the answer does not come."""

import asyncio
import datetime
import json

import pytest
from aiohttp import web

from tests.support.clocks import Time
from tests.support.provider_host import ACME, KEY, api_of, described, hang_up, host, in_turn, loaded, refused
from transforms.errors import JobError, TransientError
from transforms.providers.api import HttpBatchApi
from transforms.providers.remote import QueueFullError, RefusedError, UncertainError
from transforms.retry import Retry
from transforms.secrets import parse_secret

SOURCE = parse_secret("env:TEST_PROVIDER_KEY", "--api_key")
BATCH_KEY = "fb-0123456789abcdef01234567"
SINCE = datetime.datetime(2026, 11, 30, 9, 0, 0, 600_000, tzinfo=datetime.timezone.utc)
LINES = [{"custom_id": "a", "n": 1}, {"custom_id": "é", "n": 2}, {"custom_id": "c", "n": 3}]


def create(requests, *answers, name="openai", base="/v1", **variables):
    """What create gives or raises, and what the host was asked."""

    async def scenario():
        async with host(in_turn(*answers)) as server:
            async with api_of(described(name, server.url, base=base, **variables)) as api:
                try:
                    return await api.create(requests, 3, BATCH_KEY), server.asked
                except Exception as error:
                    return error, server.asked

    return asyncio.run(scenario())


def test_a_file_is_uploaded_and_a_batch_created_of_it(requests):
    batch_id, (uploaded, created) = create(requests, {"id": "file-1"}, {"id": "batch_1", "status": "validating"})
    assert batch_id == "batch_1"
    assert (str(uploaded), str(created)) == ("POST /v1/files", "POST /v1/batches")
    assert {uploaded.headers["Authorization"], created.headers["Authorization"]} == {f"Bearer {KEY}"}
    assert uploaded.body.index(b'name="purpose"') < uploaded.body.index(f'filename="{BATCH_KEY}.jsonl"'.encode())
    assert requests.read_bytes() in uploaded.body
    assert created.json == {
        "input_file_id": "file-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"firebeam_key": BATCH_KEY},
    }


def test_anthropic_gets_the_lines_within_the_create(requests):
    batch_id, (created,) = create(requests, {"id": "msgbatch_1"}, name="anthropic", base="")
    assert batch_id == "msgbatch_1"
    assert str(created) == "POST /v1/messages/batches"
    assert created.json == {"requests": LINES}
    assert (created.headers["x-api-key"], created.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert int(created.headers["Content-Length"]) == len(created.body)


def test_bright_data_gets_an_array(requests):
    batch_id, (created,) = create(requests, {"snapshot_id": "s_1"}, name="brightdata", base="", dataset_id="gd_1")
    assert batch_id == "s_1"
    assert str(created) == "POST /datasets/v3/trigger?dataset_id=gd_1&include_errors=true"
    assert created.json == LINES


def test_apify_gets_the_lines_in_a_field_of_the_input(requests):
    batch_id, (created,) = create(requests, {"data": {"id": "r1"}}, name="apify", base="", actor="apify~web-scraper")
    assert (batch_id, str(created)) == ("r1", "POST /v2/acts/apify~web-scraper/runs")
    assert created.json == {"startUrls": LINES}


def test_gemini_gets_a_resumable_upload(requests):
    def started(asked):
        assert asked.headers["X-Goog-Upload-Header-Content-Length"] == str(len(requests.read_bytes()))
        url = f"http://{asked.headers['Host']}/upload/session?upload_id=1"
        return web.json_response({}, headers={"X-Goog-Upload-URL": url})

    file = {"file": {"name": "files/f1", "state": "PROCESSING"}}
    batch_id, asked = create(
        requests,
        started,
        file,
        {"name": "files/f1", "state": "PROCESSING"},
        {"name": "files/f1", "state": "ACTIVE"},
        {"name": "batches/b1", "metadata": {}},
        name="gemini",
        base="",
        model="gemini-2.5-flash",
    )
    assert batch_id == "batches/b1"
    assert [str(each) for each in asked] == [
        "POST /upload/v1beta/files",
        "POST /upload/session?upload_id=1",
        "GET /v1beta/files/f1",
        "GET /v1beta/files/f1",
        "POST /v1beta/models/gemini-2.5-flash:batchGenerateContent",
    ]
    assert asked[1].body == requests.read_bytes()
    assert asked[4].json == {"batch": {"displayName": BATCH_KEY, "inputConfig": {"fileName": "files/f1"}}}


def test_vertex_finds_the_file_in_its_storage(requests, tmp_path):
    variables = {"project": "p", "bucket": "b", "model": "m", "storage": str(tmp_path / "bucket")}
    batch_id, (created,) = create(requests, {"name": "projects/p/jobs/1"}, name="vertex", base="", **variables)
    assert batch_id == "projects/p/jobs/1"
    (place,) = created.json["inputConfig"]["gcsSource"]["uris"]
    assert open(place, "rb").read() == requests.read_bytes()  # noqa: PTH123, SIM115
    assert created.json["labels"] == {"firebeam_key": BATCH_KEY}


def test_an_upload_that_breaks_off_is_sent_again(requests):
    batch_id, asked = create(requests, hang_up, 503, {"id": "file-1"}, {"id": "batch_1"})
    assert batch_id == "batch_1"
    assert [str(each) for each in asked] == ["POST /v1/files"] * 3 + ["POST /v1/batches"]
    assert requests.read_bytes() in asked[2].body


@pytest.mark.parametrize("answer", [hang_up, 500, 502, 504, 408, {}, {"id": None}, web.Response(text="<html>")])
def test_a_create_that_may_have_taken_effect_is_not_sent_again(requests, answer):
    error, asked = create(requests, {"id": "file-1"}, answer)
    assert isinstance(error, UncertainError)
    assert [str(each) for each in asked] == ["POST /v1/files", "POST /v1/batches"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: refused(429, "rate_limit_exceeded"),
        lambda asked: refused(503, "", "busy"),
        lambda asked: refused(529, "overloaded_error"),
        lambda asked: refused(400, "", "Enqueued token limit reached for gpt-4o in organization org-1."),
    ],
)
def test_a_queue_that_is_full_is_for_the_caller_to_wait_for(requests, answer):
    error, asked = create(requests, {"id": "file-1"}, answer)
    assert isinstance(error, QueueFullError)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda asked: refused(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"),
            "openai does not accept the key (401, invalid_api_key): check env:TEST_PROVIDER_KEY, or pass"
            " another --api_key",
        ),
        (
            lambda asked: refused(429, "insufficient_quota", "You exceeded your current quota."),
            "openai has no credit left (429, insufficient_quota): You exceeded your current quota.. Add credit or raise"
            " the limit there, then run the same command again",
        ),
        (
            lambda asked: refused(402, "", "Payment required"),
            "openai has no credit left (402): Payment required. Add credit or raise the limit there, then run the same"
            " command again",
        ),
        (
            lambda asked: refused(403, "model_not_allowed", f"No access with {KEY}"),
            "openai does not permit this (403, model_not_allowed): No access with …. Give the key of"
            " env:TEST_PROVIDER_KEY the right, then run again",
        ),
        (
            lambda asked: refused(404, "", "Unknown path"),
            "openai creates no batches there: 404: Unknown path. Check base_url and --provider_var",
        ),
        (
            lambda asked: web.Response(status=302, headers={"Location": "https://elsewhere.example"}),
            "openai creates no batches there: 302. Check base_url and --provider_var",
        ),
    ],
)
def test_what_somebody_has_to_fix_stops_the_job_and_shows_no_key(requests, answer, message):
    error, asked = create(requests, {"id": "file-1"}, answer)
    assert isinstance(error, JobError)
    assert str(error) == message
    assert len(asked) == 2


def test_a_batch_that_the_provider_refuses_keeps_its_code_and_text(requests):
    error, _ = create(requests, {"id": "file-1"}, lambda asked: refused(400, "invalid_file", "line 3\nis broken"))
    assert isinstance(error, RefusedError)
    assert (error.code, error.text) == ("invalid_file", "line 3 is broken")
    error, _ = create(requests, {"id": "file-1"}, web.Response(status=413, text="<html>too large</html>"))
    assert (error.code, error.text) == ("HTTP_413", "")


def test_a_create_that_reaches_nobody_is_sent_again_and_then_given_up(requests, unused_tcp_port_url):
    slept = []

    async def scenario():
        async with api_of(loaded(ACME, unused_tcp_port_url, team="t"), slept=slept) as api:
            with pytest.raises(TransientError, match=r"acme \(127\.0\.0\.1\): cannot be reached") as failed:
                await api.create(requests, 3, BATCH_KEY)
            assert not isinstance(failed.value, QueueFullError)

    asyncio.run(scenario())
    assert len(slept) == 2


def test_a_full_queue_is_not_asked_again_and_again_and_keeps_nobody_from_polling(requests):
    time = Time()

    def answer(asked):
        if asked.method == "GET":
            return web.json_response({"data": []})
        return (
            refused(429, "rate_limit_exceeded") if asked.path == "/v1/batches" else web.json_response({"id": "file-1"})
        )

    async def scenario():
        async with host(answer) as server:
            api = HttpBatchApi(described("openai", server.url, base="/v1"), SOURCE, Retry(clock=time.clock))
            async with api:
                for _ in range(20):
                    with pytest.raises(QueueFullError):
                        await api.create(requests, 3, BATCH_KEY)
                    assert await api.check() == 0
                in_the_window = server.lines
                assert time.now == 1_000
                time.now += 301
                with pytest.raises(QueueFullError):
                    await api.create(requests, 3, BATCH_KEY)
                return in_the_window, server.lines[len(in_the_window) :]

    first, then = asyncio.run(scenario())
    assert first.count("POST /v1/batches") == 3
    assert first.count("POST /v1/files") == 1
    assert then == ["POST /v1/batches"]


def test_every_create_has_a_connection_of_its_own(requests):
    ports = set()

    def answer(asked):
        if asked.path == "/jobs?team=t":
            ports.add(asked.request.transport.get_extra_info("peername"))
        return web.json_response({"job_id": "j1"})

    async def scenario():
        async with host(answer) as server, api_of(loaded(ACME, server.url, team="t")) as api:
            for _ in range(3):
                assert await api.create(requests, 3, BATCH_KEY) == "j1"

    asyncio.run(scenario())
    assert len(ports) == 3


def looked_for(*answers, name="openai", base="/v1", n_requests=3, **variables):
    """The ids that created_with finds, and what was asked."""

    async def scenario():
        async with (
            host(in_turn(*answers)) as server,
            api_of(described(name, server.url, base=base, **variables)) as api,
        ):
            found = await api.created_with(BATCH_KEY, SINCE, n_requests)
            return [batch.id for batch in found], server.lines

    return asyncio.run(scenario())


def listed(batch_id, key=None, created="2026-11-30T09:00:00Z"):
    seconds = datetime.datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp()
    metadata = key and {"firebeam_key": key}
    return {"id": batch_id, "status": "validating", "created_at": int(seconds), "metadata": metadata}


def test_a_lost_batch_is_found_by_its_key_and_not_further_than_it_can_be():
    newest = {"data": [listed("b9"), listed("b8", "fb-other"), listed("b7", BATCH_KEY)], "has_more": True}
    older = {"data": [listed("b6", BATCH_KEY, "2026-11-30T08:00:00Z")], "has_more": True}
    assert looked_for(newest, older) == (["b7"], ["GET /v1/batches?limit=100", "GET /v1/batches?limit=100&after=b7"])


def test_several_batches_of_one_key_are_all_named():
    page = {"data": [listed("b2", BATCH_KEY), listed("b1", BATCH_KEY)], "has_more": False}
    assert looked_for(page)[0] == ["b2", "b1"]


def test_where_no_key_is_kept_time_and_size_must_fit():
    def message_batch(batch_id, n, created):
        counts = {"processing": n, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        return {"id": batch_id, "processing_status": "in_progress", "created_at": created, "request_counts": counts}

    page = {
        "data": [
            message_batch("m3", 3, "2026-11-30T09:00:02.123456Z"),
            message_batch("m2", 4, "2026-11-30T09:00:01Z"),
            message_batch("m1", 3, "2026-11-30T08:59:00Z"),
        ],
        "has_more": False,
        "last_id": "m1",
    }
    assert looked_for(page, name="anthropic", base="") == (["m3"], ["GET /v1/messages/batches?limit=100"])


def test_where_nothing_is_counted_time_must_fit():
    page = [
        {"id": "s_2", "created": "2026-11-30T09:00:00.900Z", "status": "running"},
        {"id": "s_1", "created": "2026-11-30T08:00:00Z", "status": "ready"},
    ]
    assert looked_for(page, name="brightdata", base="", dataset_id="gd_1")[0] == ["s_2"]


def test_together_s_key_is_the_name_of_the_file():
    def job(batch_id, file, created="2026-11-30T09:00:01Z"):
        return {"id": batch_id, "status": "VALIDATING", "input_file_id": file, "created_at": created}

    jobs = [job("t3", "f3"), job("t2", "f2"), job("t1", "f1", "2026-11-30T08:00:00Z")]
    found, asked = looked_for(
        jobs, {"filename": f"{BATCH_KEY}.jsonl"}, {"filename": "mine.jsonl"}, name="together", base="/v1"
    )
    assert (found, asked) == (["t3"], ["GET /v1/batches", "GET /v1/files/f3", "GET /v1/files/f2"])


def test_a_provider_without_a_list_leaves_it_open():
    text = "\n".join(line for line in ACME.splitlines() if not line.startswith("list:"))

    async def scenario():
        async with host(in_turn()) as server, api_of(loaded(text, server.url, team="t")) as api:
            with pytest.raises(UncertainError, match="acme has no list"):
                await api.created_with(BATCH_KEY, SINCE, 3)

    asyncio.run(scenario())


def test_an_error_shows_nothing_of_the_key_and_of_the_requests(requests):
    def answer(asked):
        return web.json_response({"detail": [{"input": json.loads(asked.body)}]}, status=422)

    async def scenario():
        async with host(answer) as server, api_of(loaded(ACME, server.url, team="t")) as api:
            with pytest.raises(RefusedError) as failed:
                await api.create(requests, 3, BATCH_KEY)
            assert KEY not in f"{failed.value!r} {api!r} {failed.value.__cause__!r}"
            return str(failed.value)

    assert asyncio.run(scenario()) == "HTTP_422"
