"""Every shipped description against that provider's scripted server: from create to results, whatever goes wrong."""

import asyncio
import datetime
import json
from dataclasses import dataclass, field

import pytest

from pipeline.providers import read_provider
from tests.support.clocks import Clock
from tests.support.provider_host import KEY, api_of
from tests.support.provider_in_thread import provider_in_thread
from tests.support.provider_requests import VARIABLES, request_line
from transforms.errors import JobError
from transforms.providers.remote import QueueFullError, RefusedError, State, UncertainError, UnknownBatchError
from transforms.testing.providers import PROVIDERS

N = 10
BATCH_KEY = "fb-0123456789abcdef01234567"
# Where the results of those that were answered are all there is to be had: no word says that it is not all.
SAYS_READY = {"brightdata"}
# One that has expired has nothing.
KEEPS_NOTHING = {"gemini"}


def line(name, number):
    return request_line(name, f"r{number}", {"candidate_id": f"r{number}"})


@dataclass
class Desk:
    """A provider, its server, and a file of requests for it."""

    name: str
    server: object
    clock: Clock
    folder: object
    slept: list = field(default_factory=list)

    @property
    def requests(self):
        path = self.folder / "requests.jsonl"
        path.write_text("".join(json.dumps(line(self.name, number)) + "\n" for number in range(N)))
        return path

    def run(self, scenario):
        variables = dict(VARIABLES.get(self.name, {}))
        if self.name == "vertex":
            variables["storage"] = str(self.folder / "storage")
        variables["base_url"] = self.server.base_url
        description = read_provider(self.name).with_variables(variables, creates=True)

        async def opened():
            async with api_of(description, slept=self.slept) as api:
                return await scenario(api)

        return asyncio.run(opened())

    async def create(self, api):
        return await api.create(self.requests, N, BATCH_KEY)

    async def answered(self, api, batch):
        """The numbers of the requests that the results name."""
        into = self.folder / "results"
        into.mkdir(exist_ok=True)
        texts = [text for path in await api.download(batch, into) for text in path.read_text().splitlines()]
        assert all(isinstance(json.loads(text), dict) for text in texts)
        return {number for number in range(N) if any(f'r{number}"' in text for text in texts)}

    def now(self):
        return datetime.datetime.fromtimestamp(self.clock(), datetime.timezone.utc)


@pytest.fixture(params=PROVIDERS)
def desk(request, tmp_path):
    clock = Clock()
    with provider_in_thread(request.param, {"batches": [{"ready_s": 100}]}, clock) as server:
        yield Desk(request.param, server, clock, tmp_path)


def test_a_batch_goes_from_its_requests_to_all_of_its_results(desk):
    async def scenario(api):
        batch_id = await desk.create(api)
        running = await api.get(batch_id)
        assert (running.state, running.results) == (State.RUNNING, ())
        desk.clock.seconds = 101
        ready = (await api.poll([batch_id]))[batch_id]
        assert ready.state is State.READY
        assert ready.requests in (None, N)
        assert ready.answered in (None, N)
        assert ready.created_at in (None, desk.now() - datetime.timedelta(seconds=101))
        assert (await api.get(batch_id)).state is State.READY
        assert await desk.answered(api, ready) == set(range(N))

    desk.run(scenario)
    (batch,) = desk.server.batches()
    assert batch.n_triggers == 1
    assert {request.status for request in desk.server.requests()} <= {200, 201}


def test_one_list_request_polls_all(desk):
    async def scenario(api):
        ids = [await desk.create(api) for _ in range(5)]
        before = len(desk.server.requests())
        assert (await api.poll(ids)).keys() == set(ids)
        return desk.server.requests()[before:]

    assert [request.endpoint for request in desk.run(scenario)] == ["list"]


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_create_without_an_answer_is_found_or_known_not_to_be(desk, lost):
    desk.server.script({"endpoints": [{"endpoint": "create", "lost": lost}]})

    async def scenario(api):
        with pytest.raises(UncertainError):
            await desk.create(api)
        return await api.created_with(BATCH_KEY, desk.now(), N)

    found = desk.run(scenario)
    made = desk.server.batches()
    assert [batch.id.rpartition("/")[2] for batch in found] == [batch.id for batch in made]
    assert len(made) == (lost == "after")


def test_batches_of_others_are_not_taken_for_the_lost_one(desk):
    async def scenario(api):
        await api.create(desk.requests, N, "fb-ffffffffffffffffffffffff")
        desk.clock.seconds = 60
        return await api.created_with(BATCH_KEY, desk.now(), N)

    assert desk.run(scenario) == []


def test_a_batch_is_cancelled_and_what_it_has_is_kept(desk):
    async def scenario(api):
        batch_id = await desk.create(api)
        await api.cancel(batch_id)
        desk.clock.seconds = 200
        batch = await api.get(batch_id)
        assert batch.state is not State.RUNNING
        answered = await desk.answered(api, batch)
        assert bool(answered) == (batch.state in (State.PARTIAL, State.READY))
        await api.cancel(batch_id)  # once more: it is over

    desk.run(scenario)


def test_a_refused_list_is_asked_for_again_when_it_may_be(desk):
    desk.server.script({"endpoints": [{"endpoint": "list", "status": 429, "retry_after": 7, "times": 2}]})

    async def scenario(api):
        batch_id = await desk.create(api)
        assert (await api.poll([batch_id])).keys() == {batch_id}

    desk.run(scenario)
    assert len([seconds for seconds in desk.slept if 6 < seconds <= 7]) == 2


def test_a_full_queue_is_told_from_want_of_money(desk):
    desk.server.script({"endpoints": [{"endpoint": "create", "status": 429}]})

    async def scenario(api):
        with pytest.raises(QueueFullError):
            await desk.create(api)

    desk.run(scenario)
    assert desk.server.batches() == []


def test_a_download_that_is_cut_begins_again(desk):
    desk.server.script({"endpoints": [{"endpoint": "download", "cut_after_bytes": 30}]})

    async def scenario(api):
        batch_id = await desk.create(api)
        desk.clock.seconds = 101
        assert await desk.answered(api, await api.get(batch_id)) == set(range(N))

    desk.run(scenario)
    cut = [request for request in desk.server.requests("download") if request.status == 0]
    assert len(cut) == (desk.name != "vertex")


def test_a_download_elsewhere_comes_without_the_key(desk):
    desk.server.script({"endpoints": [{"endpoint": "download", "redirect": "signed", "times": None}]})

    async def scenario(api):
        batch_id = await desk.create(api)
        desk.clock.seconds = 101
        assert await desk.answered(api, await api.get(batch_id)) == set(range(N))

    desk.run(scenario)
    assert not any(request.has_credentials for request in desk.server.requests("signed"))
    assert bool(desk.server.requests("signed")) == (desk.name != "vertex")


def test_a_batch_that_expires_gives_what_it_has(desk):
    desk.server.script({"batches": [{"ready_s": 100, "outcome": "expired", "unanswered": 0.4}]})

    async def scenario(api):
        batch_id = await desk.create(api)
        desk.clock.seconds = 101
        batch = await api.get(batch_id)
        if desk.name in KEEPS_NOTHING:
            assert batch.state is State.FAILED
        else:
            assert batch.state is (State.READY if desk.name in SAYS_READY else State.PARTIAL)
            assert await desk.answered(api, batch) >= set(range(6))

    desk.run(scenario)


def test_a_batch_that_fails_says_why(desk):
    code = "RESOURCE_EXHAUSTED" if desk.name in ("gemini", "vertex") else "token_limit_exceeded"
    failed = {"ready_s": 100, "outcome": "failed", "error_code": code, "error_text": "too many"}
    desk.server.script({"batches": [failed]})

    async def scenario(api):
        batch_id = await desk.create(api)
        desk.clock.seconds = 101
        return await api.get(batch_id)

    batch = desk.run(scenario)
    if desk.name == "anthropic":  # every batch ends the same way, with a line for each request
        assert batch.state is State.READY
    elif desk.name == "apify":  # it keeps what its dataset has
        assert batch.state is State.PARTIAL
    else:
        assert batch.state is State.FAILED
        assert "too many" in batch.error_text
    if desk.name in ("openai", "azure_openai", "groq", "gemini", "vertex"):
        errors = read_provider(desk.name).errors
        assert errors.means_queue_full(batch.error_code, batch.error_text)


def test_a_wrong_key_ends_the_job_and_is_not_shown(desk):
    desk.server.script({"api_key": "another"})

    async def scenario(api):
        with pytest.raises(JobError, match=r"does not accept the key \(401") as refused:
            await desk.create(api)
        return str(refused.value)

    assert KEY not in desk.run(scenario)


def test_an_unknown_batch_is_left_out(desk):
    parent = "projects/p/locations/us-central1/batchPredictionJobs/"
    unknown = {"gemini": "batches/unknown", "vertex": f"{parent}404"}.get(desk.name, "unknown")

    async def scenario(api):
        batch_id = await desk.create(api)
        assert (await api.poll([batch_id, unknown])).keys() == {batch_id}
        with pytest.raises(UnknownBatchError):
            await api.get(unknown)

    desk.run(scenario)


def test_results_that_were_deleted_are_this_batch_s_failure(desk):
    desk.server.script({"endpoints": [{"endpoint": "download", "status": 404, "times": None}]})

    async def scenario(api):
        batch_id = await desk.create(api)
        desk.clock.seconds = 101
        if desk.name == "vertex":
            return
        with pytest.raises(RefusedError, match="RESULTS_GONE"):
            await desk.answered(api, await api.get(batch_id))

    desk.run(scenario)
