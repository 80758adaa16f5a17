"""The client factory: plain data until it is used, one channel a process, the metadata Firestore routes by."""

import pickle
import socket
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest

from transforms.errors import UsageError
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.target import MAX_EMULATOR_REQUEST_BYTES, MAX_REQUEST_BYTES, FirestoreTarget
from transforms.testing import PROJECT, ScriptedFirestore, always, status

NOBODY = "127.0.0.1:1"


def write(target, path="people/ada"):
    return messages.update(messages.document(target.document_name(path)))


def metadata_of_a_commit_and_a_read(**settings):
    with ScriptedFirestore() as server:
        target = FirestoreTarget(PROJECT, emulator_host=server.target.emulator_host, **settings)
        target.connect().commit([write(target)], 10).result()
        list(target.connect().batch_get([target.document_name("people/ada")], (), 10))
    return [received.metadata for received in server.received]


def test_every_request_names_the_database_it_is_routed_to():
    for metadata in metadata_of_a_commit_and_a_read(database="other-db"):
        name = f"projects/{PROJECT}/databases/other-db"
        assert metadata["google-cloud-resource-prefix"] == name
        assert metadata["x-goog-request-params"] == f"database={name}&project_id={PROJECT}&database_id=other-db"


def test_requests_to_an_emulator_are_an_administrator_s():
    assert [metadata["authorization"] for metadata in metadata_of_a_commit_and_a_read()] == ["Bearer owner"] * 2


def test_a_commit_goes_to_its_own_database():
    with ScriptedFirestore() as server:
        target = FirestoreTarget(PROJECT, "other-db", server.target.emulator_host)
        target.connect().commit([write(target)], 10).result()
        (found,) = target.connect().batch_get([target.document_name("people/ada")], (), 10)
    (request,) = server.requests("Commit")
    assert request.database == f"projects/{PROJECT}/databases/other-db"
    assert found.found.name == f"projects/{PROJECT}/databases/other-db/documents/people/ada"
    assert server.documents == {}


def test_a_target_travels_to_a_worker_with_all_it_needs():
    target = FirestoreTarget("acme", "other-db", NOBODY, "private.googleapis.com")
    assert pickle.loads(pickle.dumps(target)) == target


def test_requests_in_bulk_go_to_the_host_of_batch_workloads_and_others_to_the_service_s_own():
    with ScriptedFirestore() as own, ScriptedFirestore() as batch:
        channels = (grpc.insecure_channel(server.target.address) for server in (own, batch))
        client = FirestoreClient(own.target, *channels)
        client.commit([write(own.target)], 10).result()
        client.batch_write([write(own.target)], 10).result()
        list(client.batch_get([own.target.document_name("people/ada")], (), 10))
        parent, query = f"{own.target.name}/documents", messages.StructuredQuery()
        query.from_.add(collection_id="people", all_descendants=True)
        list(client.run_query(parent, query, 10))
        query.order_by.add().field.field_path = "__name__"
        client.partition_query(
            messages.PartitionQueryRequest(parent=parent, structured_query=query, partition_count=1), 10
        )
        aggregation = messages.StructuredAggregationQuery(structured_query=query)
        aggregation.aggregations.add().count.SetInParent()
        list(client.aggregate(parent, aggregation, 10))
    assert [received.rpc for received in own.received] == ["Commit", "RunAggregationQuery"]
    assert {received.rpc for received in batch.received} == {
        "BatchWrite",
        "BatchGetDocuments",
        "RunQuery",
        "PartitionQuery",
    }


@pytest.mark.parametrize(
    ("settings", "address", "batch_address"),
    [
        ({}, "firestore.googleapis.com:443", "batch-firestore.googleapis.com:443"),
        ({"endpoint": "nam5-firestore.googleapis.com"}, *["nam5-firestore.googleapis.com:443"] * 2),
        ({"endpoint": "10.0.0.7:8443"}, *["10.0.0.7:8443"] * 2),
        ({"emulator_host": NOBODY}, NOBODY, NOBODY),
        ({"emulator_host": NOBODY, "endpoint": "nam5-firestore.googleapis.com"}, NOBODY, NOBODY),
    ],
    ids=["default", "regional", "private", "emulator", "emulator first"],
)
def test_an_endpoint_is_for_all_requests_and_an_emulator_comes_first(settings, address, batch_address):
    target = FirestoreTarget("acme", **settings)
    assert (target.address, target.batch_address) == (address, batch_address)


@pytest.mark.parametrize("endpoint", ["", "https://firestore.googleapis.com", "google.com/", "a:b", "a b"])
def test_what_cannot_be_an_endpoint_is_refused(endpoint):
    with pytest.raises(UsageError, match=r"^a Firestore endpoint must be HOST or HOST:PORT, such as firestore"):
        FirestoreTarget("acme", endpoint=endpoint)


def test_a_refusal_at_an_endpoint_says_that_it_may_be_of_another_location():
    refused = RpcError("PERMISSION_DENIED", "no")
    assert "location" not in str(FirestoreTarget("acme").job_error(refused))
    regional = FirestoreTarget("acme", endpoint="nam5-firestore.googleapis.com")
    assert str(regional.job_error(refused)).endswith(" nam5-firestore.googleapis.com may serve other locations only.")


def test_there_is_one_client_a_process_and_target_whoever_asks():
    found, target = [], FirestoreTarget("demo-one-client", emulator_host=NOBODY)
    threads = [threading.Thread(target=lambda: found.append(target.connect())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert {id(client) for client in found} == {id(pickle.loads(pickle.dumps(target)).connect())}


@pytest.mark.parametrize(
    "other",
    [
        FirestoreTarget("demo-two", emulator_host=NOBODY),
        FirestoreTarget("demo-one", "other-db", NOBODY),
        FirestoreTarget("demo-one", emulator_host="127.0.0.1:2"),
    ],
    ids=["project", "database", "emulator"],
)
def test_another_target_has_another_client(other):
    assert FirestoreTarget("demo-one", emulator_host=NOBODY).connect() is not other.connect()


def test_connecting_calls_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        FirestoreTarget("demo-silent", emulator_host=f"127.0.0.1:{listening.getsockname()[1]}").connect()
        with pytest.raises(TimeoutError):
            listening.accept()


def test_a_target_needs_no_credentials_until_it_connects():
    program = "from transforms.firestore.target import FirestoreTarget as T; print(T('acme').name)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        env={"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("projects/acme/databases/(default)\n", 0)


def test_a_failure_is_told_by_code_and_the_service_s_own_text():
    refused = always(status("RESOURCE_EXHAUSTED", "quota exceeded"))
    with ScriptedFirestore(scripts={"Commit": refused, "BatchGetDocuments": refused, "RunQuery": refused}) as server:
        client = server.target.connect()
        with pytest.raises(RpcError, match=r"^RESOURCE_EXHAUSTED: quota exceeded$"):
            client.commit([], 10).result()
        with pytest.raises(RpcError, match=r"^RESOURCE_EXHAUSTED: quota exceeded$"):
            list(client.batch_get([], (), 10))
        with pytest.raises(RpcError, match=r"^RESOURCE_EXHAUSTED: quota exceeded$"):
            list(client.run_query(f"{server.target.name}/documents", messages.StructuredQuery(), 10))


def test_a_request_that_is_not_answered_in_time_is_given_up():
    over = threading.Event()
    with ScriptedFirestore(scripts={"Commit": lambda request, ordinal: over.wait(60) and None}) as server:
        with pytest.raises(RpcError) as failed:
            server.target.connect().commit([], 0.1).result()
        over.set()
    assert failed.value.code == "DEADLINE_EXCEEDED"


def test_a_mask_asks_for_some_fields_and_none_asks_for_all():
    with ScriptedFirestore() as server:
        client = server.target.connect()
        list(client.batch_get([server.target.document_name("a/b")], ("name", "_meta.version"), 10))
        list(client.batch_get([server.target.document_name("a/b")], (), 10))
    masked, whole = server.requests("BatchGetDocuments", "RunQuery")
    assert list(masked.mask.field_paths) == ["name", "_meta.version"]
    assert not whole.HasField("mask")


def test_the_emulator_takes_smaller_requests():
    assert FirestoreTarget("acme").max_request_bytes == MAX_REQUEST_BYTES
    assert FirestoreTarget("acme", emulator_host=NOBODY).max_request_bytes == MAX_EMULATOR_REQUEST_BYTES


@pytest.mark.parametrize("database", ["(default)", "main", "a" * 63, "a-1b"])
def test_a_database_id_is_taken(database):
    assert FirestoreTarget("acme", database).name == f"projects/acme/databases/{database}"


@pytest.mark.parametrize("database", ["", "abc", "Main", "1abc", "abc-", "a_bc", "a" * 64, "a/bcd", "main\n"])
def test_what_cannot_be_a_database_id_is_refused(database):
    with pytest.raises(UsageError, match=r"^database must be \(default\) or 4 to 63 lower-case letters, digits"):
        FirestoreTarget("acme", database)


def test_a_target_without_project_is_refused():
    with pytest.raises(UsageError, match=r"^no Google Cloud project is given; pass --project=PROJECT$"):
        FirestoreTarget("")
