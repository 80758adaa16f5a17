"""A job is read once, and then only what changes of it."""

import datetime

from pipeline.serve.reading import JobReader
from tests.support.clocks import Time
from tests.support.page_ledgers import NOON, after, job_fields, own_batch, provider_batch
from transforms.ledger.jobs import job_document
from transforms.ledger.owners import Owner
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore

N = 100


def ledger():
    path = "pipeline_jobs/ingest-1"
    documents = {f"{path}/batches/b-{n:03d}": own_batch(after(n), 2) for n in range(N)}
    documents |= {f"{path}/provider_batches/fb-{n:03d}": provider_batch(n, "completed", after(n), 1) for n in range(N)}
    return {path: job_fields("running", seen_at=after(N), owner=Owner("elsewhere", 1)), **documents}


def write(server, path, fields):
    server.put({path: fields})


def test_a_second_look_reads_what_is_new_and_forgets_nothing():
    time = Time()
    with ScriptedFirestore(ledger()) as server:
        reader = JobReader(job_document(server.target.connect(), "ingest-1", Retry(clock=time.clock)))
        first = reader.read()
        write(server, "pipeline_jobs/ingest-1/batches/b-100", own_batch(after(N), 2, dead=1))
        write(server, "pipeline_jobs/ingest-1/batches/b-101", own_batch(after(N), None))
        write(server, "pipeline_jobs/ingest-1/provider_batches/fb-100", provider_batch(N, "completed", after(N), 1))
        second = reader.read()
        assert (len(first.own), len(first.at_provider)) == (N, N)
        assert (len(second.own), len(second.at_provider)) == (N + 2, N + 1)
        assert (second.status.totals.batches, second.status.totals.processing) == (N + 1, 1)
        assert second.status.totals.unwanted == 1
        write(server, "pipeline_jobs/ingest-1/batches/b-101", own_batch(after(N), 3))
        third = reader.read()
        assert (third.status.totals.batches, third.status.totals.processing) == (N + 2, 0)


def test_a_batch_that_came_late_is_found_by_the_count():
    time = Time()
    with ScriptedFirestore(ledger()) as server:
        reader = JobReader(job_document(server.target.connect(), "ingest-1", Retry(clock=time.clock)))
        reader.read()
        write(server, "pipeline_jobs/ingest-1/batches/late", own_batch(NOON - datetime.timedelta(hours=1), 2))
        assert reader.read().status.totals.batches == N
        time.now += 31
        assert reader.read().status.totals.batches == N + 1


def test_another_run_is_read_from_its_beginning():
    with ScriptedFirestore(ledger()) as server:
        reader = JobReader(job_document(server.target.connect(), "ingest-1"))
        reader.read()
        server.delete(*(f"pipeline_jobs/ingest-1/batches/b-{n:03d}" for n in range(N)))
        write(server, "pipeline_jobs/ingest-1/batches/c-0", own_batch(NOON, 2, attempt=2))
        write(server, "pipeline_jobs/ingest-1", {**job_fields("running", seen_at=after(N)), "attempt": 2})
        assert [each.key for each in reader.read().own] == ["c-0"]
