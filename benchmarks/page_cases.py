"""The status page on ledgers of different sizes: what it costs to open, to keep up to date and to draw.

store     the ledger of a running job: batches at a provider, and as many of its own
first     everything is read, the page is made; drawn by this computer's Chromium, where there is one
next      the next look, after ten batches were completed
viewers   an hour of somebody looking, and of twenty, in documents read
"""

import datetime
import http.client
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from benchmarks.measure import Meter, Sample
from pipeline.locations import firestore_target
from pipeline.present.page.document import job_document as page_document
from pipeline.present.page.render import file, page, render_job
from pipeline.present.page.updates import Known, as_json, changes
from pipeline.serve.app import Pages
from pipeline.serve.reading import JobReader
from pipeline.serve.server import serving_aside, topics_of
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.values import serialised_fields
from transforms.ledger.jobs import job_document
from transforms.ledger.owners import Owner
from transforms.ledger.provider_batches import COMPLETED, RUNNING, ProviderBatch, Try
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.outcomes import RECORDS
from transforms.services import Services
from transforms.testing import ScriptedFirestore

_JOB = "ingest-1"
_EVERY_S, _WAITED_S, _WRITTEN_S = 1.2, 20, 2
_PER_BATCH = 500
_STILL_RUN = 20
_REFRESH_S = 2.0
_LOOKS = 5
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def store(batches: int, project: str) -> Sample:
    """Writes the ledger."""
    with Meter(batches) as meter:
        _store(_client(project), batches)
    return meter.sample()


def first(batches: int, project: str) -> Sample:
    """Opens the page."""
    document = job_document(_client(project), _JOB)
    with Meter(batches) as meter:
        rendered = render_job(page_document(JobReader(document).read(), show_ids=False))
        html = page(rendered, events_url="/events", version=Known.of(rendered).version)
    return meter.sample(page_kb=len(html.encode()) / 1e3, drawn_ms=_drawn_ms(file(rendered)))


def later(batches: int, project: str) -> Sample:
    """Looks again, after ten batches were completed."""
    client = _client(project)
    reader = JobReader(job_document(client, _JOB))
    known = Known.of(render_job(page_document(reader.read(), show_ids=False)))
    now = _now()
    begun = now - datetime.timedelta(seconds=_WAITED_S + _WRITTEN_S)
    done = range(batches - _STILL_RUN, batches - _STILL_RUN + 10)
    _write(client, (each for n in done for each in _batch(n, begun, is_done=True, updated_at=now)))
    with Meter(batches) as meter:
        update, _ = changes(known, render_job(page_document(reader.read(), show_ids=False)))
    return meter.sample(update_kb=len(as_json(update).encode()) / 1e3)


def viewers(people: int) -> Sample:
    """Looks at a running job of 100 batches, on a scripted server: how many documents a database would count."""
    with ScriptedFirestore() as server:
        client = server.target.connect()
        _store(client, 100)
        counting = _Counting(client)
        topics = topics_of(cast(FirestoreClient, counting), _REFRESH_S, show_ids=False)
        with serving_aside(lambda: Pages(topics, "127.0.0.1")) as port, Meter(1) as meter:
            _look(port, _LOOKS)  # everything is read once
            before, started = counting.n_read, time.monotonic()
            people_looking = [threading.Thread(target=_look, args=(port, _LOOKS)) for _ in range(people)]
            for person in people_looking:
                person.start()
            for person in people_looking:
                person.join()
            seconds = time.monotonic() - started
        return meter.sample(reads_per_h=(counting.n_read - before) / seconds * 3600)


class _Counting:
    """A client that counts what a database would: a document each, and one for a query that finds none."""

    def __init__(self, client: FirestoreClient):
        self._client, self.target, self.n_read = client, client.target, 0

    def run_query(self, *arguments: Any) -> Iterator[Any]:
        """As the client's."""
        return self._counted(self._client.run_query(*arguments))

    def batch_get(self, *arguments: Any) -> Iterator[Any]:
        """As the client's."""
        return self._counted(self._client.batch_get(*arguments))

    def aggregate(self, *arguments: Any) -> Any:
        """As the client's."""
        self.n_read += 1
        return self._client.aggregate(*arguments)

    def _counted(self, answers: Iterator[Any]) -> Iterator[Any]:
        n = 0
        for answer in answers:
            n += answer.HasField("document") if "document" in answer.DESCRIPTOR.fields_by_name else 1
            yield answer
        self.n_read += max(1, n)


def _look(port: int, n: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/jobs/{_JOB}/events")
    answer = connection.getresponse()
    while n:
        n -= answer.readline().startswith(b"data: ")
    connection.close()


def _client(project: str) -> FirestoreClient:
    return firestore_target(project, DEFAULT_DATABASE, Services.of()).connect()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _store(client: FirestoreClient, batches: int) -> None:
    ledger = JobLedger(job_document(client, _JOB), RECORDS)
    ledger.open(JobDescription("ingest", _JOB, {"input": ["batches://openai"]}, "input", "spec"), Owner())
    start = _now() - datetime.timedelta(seconds=batches * _EVERY_S)
    times = (start + datetime.timedelta(seconds=n * _EVERY_S) for n in range(batches))
    _write(
        client,
        (each for n, at in enumerate(times) for each in _batch(n, at, is_done=n < batches - _STILL_RUN, updated_at=at)),
    )


def _batch(
    n: int, begun: datetime.datetime, *, is_done: bool, updated_at: datetime.datetime
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A batch at a provider, and the job's own that was made of it."""
    key = f"fb-{n:06d}"
    ready = begun + datetime.timedelta(seconds=_WAITED_S + n % 37)
    stored = ready + datetime.timedelta(seconds=_WRITTEN_S)
    times = {"ready_at": ready, "processing_at": ready, "completed_at": stored} if is_done else {}
    tokens = {"input_tokens": 61_000 + n % 100, "output_tokens": 18_000 + n % 100} if is_done else {}
    batch = ProviderBatch(
        key,
        "openai",
        n,
        COMPLETED if is_done else RUNNING,
        source="requests.jsonl",
        requests=_PER_BATCH,
        tries=(Try(key, f"batch_{n:08d}", begun),),
        answers=_PER_BATCH if is_done else 0,
        triggered_at=begun,
        **times,
        **tokens,
    )
    yield f"provider_batches/{key}", {**batch.as_fields(), "updated_at": updated_at}
    if is_done:
        counts = RECORDS.kept({"read": _PER_BATCH, "written": _PER_BATCH})
        state = {"state": "completed", "attempt": 1, "source": "requests.jsonl", "error": None}
        yield f"batches/{key}", {**counts, **state, "started_at": ready, "completed_at": stored}


def _write(client: FirestoreClient, documents: Iterator[tuple[str, dict[str, Any]]]) -> None:
    names = ((client.target.document_name(f"pipeline_jobs/{_JOB}/{path}"), fields) for path, fields in documents)
    writes = (messages.update(messages.document(name, serialised_fields(fields))) for name, fields in names)
    Committer(client).commit(AtomicGroup((write,)) for write in writes)


def _drawn_ms(html: str) -> float | None:
    """How long a browser takes to draw the plots; None where there is none."""
    chromium = next(filter(None, map(shutil.which, _NAMES)), None)
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder, "page.html")
        path.write_text(html)
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto(path.as_uri())
        drawn = float(opened.evaluate("document.documentElement.dataset.drawnMs"))
        browser.close()
    return drawn
