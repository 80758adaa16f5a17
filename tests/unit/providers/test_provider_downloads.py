"""Results: whole, on the disk, from where they may come."""

import asyncio
import gzip
import tracemalloc

import pytest
from aiohttp import web

from tests.support.provider_host import KEY, api_of, cut, described, host, in_turn, refused, respond_file
from transforms.errors import JobError, TransientError
from transforms.providers.remote import RefusedError, RemoteBatch, State

LINES = b'{"custom_id": "a"}\n{"custom_id": "b"}\n'


def fetched(tmp_path, results, answer, name="openai", base="/v1", slept=None, **variables):
    """The contents of the files that download gives, or what it raises, and what was asked."""
    folder = tmp_path / "results"
    folder.mkdir()

    async def scenario():
        async with host(answer) as server:
            batch = RemoteBatch("b1", State.READY, results=tuple(each.format(url=server.url) for each in results))
            async with api_of(described(name, server.url, base=base, **variables), slept=slept) as api:
                try:
                    paths = await api.download(batch, folder)
                except Exception as error:
                    return error, server.asked
            assert sorted(folder.iterdir()) == sorted(paths)
            return [path.read_bytes() for path in paths], server.asked

    return asyncio.run(scenario())


def test_every_file_of_a_batch_is_fetched_with_the_key(tmp_path):
    contents, asked = fetched(tmp_path, ["f1", "f2"], in_turn(web.Response(body=LINES), web.Response(body=b"")))
    assert contents == [LINES, b""]
    assert [str(each) for each in asked] == ["GET /v1/files/f1/content", "GET /v1/files/f2/content"]
    assert asked[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_download_that_breaks_off_begins_again(tmp_path):
    contents, asked = fetched(
        tmp_path, ["f1"], in_turn(lambda asked: cut(asked, LINES[:10], len(LINES)), web.Response(body=LINES))
    )
    assert contents == [LINES]
    assert len(asked) == 2


def test_a_download_that_always_breaks_off_is_given_up_and_leaves_nothing(tmp_path):
    def answer(asked):
        return cut(asked, LINES[:10], len(LINES))

    error, asked = fetched(tmp_path, ["f1"], answer)
    assert isinstance(error, TransientError)
    assert len(asked) == 3
    assert list((tmp_path / "results").iterdir()) == []


def test_an_answer_of_unknown_length_that_ends_within_a_line_begins_again(tmp_path):
    contents, asked = fetched(
        tmp_path,
        ["f1"],
        in_turn(lambda asked: respond_file(asked, LINES[:25]), lambda asked: respond_file(asked, LINES)),
    )
    assert contents == [LINES]
    assert len(asked) == 2


def test_compressed_answers_are_stored_as_they_are_read(tmp_path):
    compressed = web.Response(body=gzip.compress(LINES), headers={"Content-Encoding": "gzip"})
    assert fetched(tmp_path, ["f1"], in_turn(compressed))[0] == [LINES]


def test_a_signed_link_gets_no_key(tmp_path):
    async def scenario():
        (tmp_path / "results").mkdir()
        async with host(in_turn(web.Response(body=LINES))) as storage, host(in_turn()) as server:
            batch = RemoteBatch("b1", State.READY, results=(f"{storage.url}/signed?signature=x",))
            async with api_of(described("anthropic", server.url)) as api:
                (path,) = await api.download(batch, tmp_path / "results")
            assert path.read_bytes() == LINES
            return server.asked, storage.asked

    own, (asked,) = asyncio.run(scenario())
    assert own == []
    assert str(asked) == "GET /signed?signature=x"
    assert KEY not in str(asked.headers)
    assert "anthropic-version" not in asked.headers


def test_a_redirect_to_another_host_loses_the_key(tmp_path):
    async def scenario():
        (tmp_path / "results").mkdir()
        async with host(in_turn(web.Response(body=LINES))) as storage:
            redirect = web.Response(status=302, headers={"Location": f"{storage.url}/signed"})
            async with host(in_turn(redirect)) as server, api_of(described("openai", server.url, base="/v1")) as api:
                batch = RemoteBatch("b1", State.READY, results=("f1",))
                (path,) = await api.download(batch, tmp_path / "results")
            assert path.read_bytes() == LINES
            return server.asked, storage.asked

    (own,), (foreign,) = asyncio.run(scenario())
    assert KEY in str(own.headers)
    assert KEY not in str(foreign.headers)


def test_redirects_in_a_circle_end(tmp_path):
    error, asked = fetched(tmp_path, ["f1"], lambda asked: web.Response(status=302, headers={"Location": asked.path}))
    assert isinstance(error, JobError)
    assert len(asked) == 6


@pytest.mark.parametrize(
    "result",
    ["http://acme.example/x", "https://10.0.0.1/x", "file:///etc/passwd", "ftp://acme.example/x", "s3://bucket/x"],
)
def test_results_anywhere_else_are_not_fetched(tmp_path, result):
    error, asked = fetched(tmp_path, [result], in_turn())
    assert isinstance(error, JobError)
    assert asked == []
    assert "passwd" not in str(error)


def test_a_link_that_has_expired_is_asked_for_again(tmp_path):
    async def scenario():
        (tmp_path / "results").mkdir()
        async with host(in_turn(403, web.Response(body=LINES))) as storage:
            fresh = {"id": "b1", "status": "completed", "output_file_id": f"{storage.url}/new"}
            async with host(in_turn(fresh)) as server, api_of(described("openai", server.url)) as api:
                batch = RemoteBatch("b1", State.READY, results=(f"{storage.url}/old",))
                paths = await api.download(batch, tmp_path / "results")
                return [path.read_bytes() for path in paths], storage.lines

    assert asyncio.run(scenario()) == ([LINES], ["GET /old", "GET /new"])


def test_results_that_are_gone_are_this_batch_s_failure(tmp_path):
    error, _ = fetched(tmp_path, ["f1"], in_turn(404))
    assert isinstance(error, RefusedError)
    assert error.code == "RESULTS_GONE"
    expired = in_turn(lambda asked: refused(400, "expired", "Snapshot is expired"))
    error, _ = fetched(tmp_path / "again", ["f1"], expired)
    assert (error.code, error.text) == ("expired", "Snapshot is expired")


@pytest.fixture(autouse=True)
def again(tmp_path):
    (tmp_path / "again").mkdir()


def test_what_a_list_did_not_say_yet_is_asked_for(tmp_path):
    answer = {"id": "b1", "status": "completed", "output_file_id": "f1"}
    contents, asked = fetched(tmp_path, [], in_turn(answer, web.Response(body=LINES)))
    assert contents == [LINES]
    assert [str(each) for each in asked] == ["GET /v1/batches/b1", "GET /v1/files/f1/content"]


@pytest.mark.parametrize(
    "not_yet",
    [
        lambda: web.json_response({"status": "building", "message": "try again"}, status=202),
        lambda: web.json_response({"status": "building", "message": "Snapshot is building, try again in 10s"}),
    ],
)
def test_a_snapshot_that_is_not_there_yet_is_waited_for(tmp_path, not_yet):
    slept = []
    answers = in_turn(not_yet(), web.Response(body=LINES))
    contents, asked = fetched(tmp_path, ["s_1"], answers, "brightdata", "", slept, dataset_id="gd")
    assert contents == [LINES]
    assert [str(each) for each in asked] == ["GET /datasets/v3/snapshot/s_1?format=jsonl"] * 2
    assert 10 in slept


def test_a_snapshot_without_records_is_no_failure(tmp_path):
    answers = in_turn(web.Response(status=400, text="Snapshot is empty"))
    assert fetched(tmp_path, ["s_1"], answers, "brightdata", "", dataset_id="gd")[0] == []


def test_pages_are_fetched_until_one_is_not_full(tmp_path):
    def page(asked):
        offset = int(asked.request.query["offset"])
        assert asked.request.query["limit"] == "50000"
        n = 50_000 if offset == 0 else 1 if offset == 50_000 else 0
        return web.Response(body=b"{}\n" * n)

    contents, asked = fetched(tmp_path, ["d1"], page, "apify", "", actor="a")
    assert [content.count(b"\n") for content in contents] == [50_000, 1]
    assert len(asked) == 2


def test_files_of_a_folder_are_copied(tmp_path):
    output = tmp_path / "bucket" / "fb-1" / "results" / "prediction-1"
    output.mkdir(parents=True)
    (output / "predictions.jsonl").write_bytes(LINES)
    (output / "incremental_predictions.jsonl").write_bytes(b"{}\n")
    variables = {"project": "p", "bucket": "b", "model": "m", "storage": str(tmp_path / "bucket")}
    assert fetched(tmp_path, [str(output)], in_turn(), "vertex", "", **variables)[0] == [LINES]


def test_a_folder_that_is_not_the_description_s_is_not_read(tmp_path):
    (tmp_path / "other").mkdir()
    variables = {"project": "p", "bucket": "b", "model": "m", "storage": str(tmp_path / "bucket")}
    for place in (f"{tmp_path}/other", f"{tmp_path}/bucket/../other"):
        (tmp_path / "results").exists() and (tmp_path / "results").rmdir()
        error, _ = fetched(tmp_path, [place], in_turn(), "vertex", "", **variables)
        assert isinstance(error, JobError)


def test_a_large_download_and_a_large_upload_take_no_memory(tmp_path):
    line = b'{"custom_id": "' + b"x" * 1_000 + b'"}\n'
    source = tmp_path / "requests.jsonl"
    source.write_bytes(line * 60_000)
    received = 0

    async def handle(asked_or_request):
        nonlocal received
        if asked_or_request.method == "POST":
            async for chunk in asked_or_request.content.iter_any():
                received += len(chunk)
            return web.json_response({"id": "msgbatch_1"})
        response = web.StreamResponse()
        await response.prepare(asked_or_request)
        for _ in range(60):
            await response.write(line * 1_000)
        return response

    async def scenario():
        (tmp_path / "results").mkdir()
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with api_of(described("anthropic", url)) as api:
            tracemalloc.start()
            await api.create(source, 60_000, "fb-1")
            batch = RemoteBatch("b1", State.READY, results=("b1",))
            (path,) = await api.download(batch, tmp_path / "results")
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        await runner.cleanup()
        return path.stat().st_size, peak

    size, peak = asyncio.run(scenario())
    assert size == len(line) * 60_000
    assert received > size
    assert peak < 16 * 2**20
