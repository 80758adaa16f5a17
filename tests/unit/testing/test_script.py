"""Scripts: what each effect does to a write and to a stream, and what the server remembers of it."""

import itertools
import threading

import pytest

from transforms.firestore import messages
from transforms.testing import (
    RpcError,
    ScriptedFirestore,
    always,
    answer,
    applied_then,
    cut_after,
    delay,
    status,
    written_name,
)

USERS = {f"users/{n}": {"n": n} for n in range(4)}


@pytest.fixture
def server():
    with ScriptedFirestore(USERS) as scripted:
        yield scripted


def commit(server, *paths, timeout_s=10):
    writes = [messages.update(messages.document(server.target.document_name(path))) for path in paths]
    return server.target.connect().commit(writes, timeout_s).result()


def batch_write(server, *paths):
    writes = [messages.update(messages.document(server.target.document_name(path))) for path in paths]
    return [each.code for each in server.target.connect().batch_write(writes, 10).result().status]


def outcome(request, *arguments, **more):
    try:
        request(*arguments, **more)
    except RpcError as error:
        return f"{error}"
    return "ok"


def query(server, found):
    parts = messages.StructuredQuery(from_=[{"collection_id": "users"}])
    for message in server.target.connect().run_query(f"{server.target.name}/documents", parts, 10):
        found.append(message.document.name.rpartition("/")[2])


def test_effects_happen_to_one_request_after_the_other_and_then_no_more(server):
    server.script("Commit", [status("ABORTED", "busy"), None, status("UNAVAILABLE")])
    outcomes = [outcome(commit, server, f"new/{n}") for n in range(4)]
    assert outcomes == ["ABORTED: busy", "ok", "UNAVAILABLE: scripted", "ok"]
    assert list(server.documents) == ["new/1", "new/3", *USERS]


def test_always_happens_to_every_request(server):
    server.script("Commit", always(status("UNAVAILABLE")))
    assert {outcome(commit, server, "new/a") for _ in range(5)} == {"UNAVAILABLE: scripted"}


def test_a_function_sees_each_request_and_its_ordinal_and_chooses(server):
    def refuse_second(request, ordinal):
        seen.append((len(request.writes), ordinal))
        return status("ABORTED") if ordinal == 1 else None

    seen = []
    server.script("Commit", refuse_second)
    assert [outcome(commit, server, "a/b", "a/c") for _ in range(3)] == ["ok", "ABORTED: scripted", "ok"]
    assert seen == [(2, 0), (2, 1), (2, 2)]


def test_a_function_may_refuse_by_raising(server):
    def refuse(request, ordinal):
        raise RpcError("PERMISSION_DENIED", "no")

    server.script("Commit", refuse)
    assert outcome(commit, server, "a/b") == "PERMISSION_DENIED: no"


def test_a_write_whose_answer_is_lost_was_applied(server):
    server.script("Commit", [applied_then("DEADLINE_EXCEEDED", "too late")])
    assert outcome(commit, server, "new/a") == "DEADLINE_EXCEEDED: too late"
    assert "new/a" in server.documents


@pytest.mark.parametrize(("n", "found"), [(0, []), (1, [""]), (3, ["", "0", "1"]), (9, ["", "0", "1", "2", "3"])])
def test_a_stream_is_cut_after_as_many_messages(server, n, found):
    server.script("RunQuery", [cut_after(n, "INTERNAL")])
    received = []
    assert outcome(query, server, received) == "INTERNAL: the stream was cut"
    assert received == found


def test_a_delay_outlasts_the_client_and_the_write_is_applied(server):
    applied = threading.Event()

    def tell(messages):
        yield from delay(1.5)(messages)
        applied.set()

    server.script("Commit", [tell])
    assert outcome(commit, server, "new/a", timeout_s=0.7).startswith("DEADLINE_EXCEEDED")
    assert applied.wait(60)
    assert "new/a" in server.documents


def test_an_answer_replaces_the_server_s_own(server):
    server.script("RunQuery", [answer(messages.RunQueryResponse(document={"name": "x/y"}))])
    found = []
    query(server, found)
    assert found == ["y"]


def test_an_effect_of_one_s_own_acts_between_the_write_and_its_answer(server):
    def somebody_else_writes(messages):
        applied = list(messages)
        server.put({"new/a": {"n": 2}})
        yield from applied

    server.script("Commit", [somebody_else_writes])
    commit(server, "new/a")
    assert server.documents["new/a"].fields == {"n": 2}


def test_each_write_of_a_batch_write_has_a_script_of_its_own(server):
    server.script("Write", lambda write, ordinal: status("ABORTED") if written_name(write).endswith("b") else None)
    assert batch_write(server, "new/a", "new/b", "new/c") == [0, 10, 0]
    assert server.applied == ["new/a", "new/c"]


def test_a_sequence_for_writes_is_counted_per_document(server):
    server.script("Write", [status("UNAVAILABLE"), applied_then("UNKNOWN")])
    assert batch_write(server, "new/a", "new/b") == [14, 14]
    assert batch_write(server, "new/a") == [2]
    assert batch_write(server, "new/a", "new/b") == [0, 2]
    assert server.applied == ["new/a", "new/a", "new/b"]


def test_a_new_script_begins_with_the_next_request(server):
    for _ in range(2):
        server.script("Commit", [status("ABORTED")])
        assert [outcome(commit, server, "a/b") for _ in range(2)] == ["ABORTED: scripted", "ok"]


def test_requests_are_remembered_by_rpc_with_their_metadata_and_also_those_refused(server):
    server.script("Commit", [status("ABORTED")])
    outcome(commit, server, "a/b")
    commit(server, "a/c")
    query(server, [])
    assert [written_name(request.writes[0])[-3:] for request in server.requests("Commit")] == ["a/b", "a/c"]
    assert [each.rpc for each in server.received] == ["Commit", "Commit", "RunQuery"]
    assert len(server.requests()) == len(server.requests("Commit", "RunQuery")) == 3
    assert {each.metadata["google-cloud-resource-prefix"] for each in server.received} == {server.target.name}


def test_a_reset_forgets_scripts_and_requests_and_keeps_documents(server):
    server.script("Commit", always(status("ABORTED")))
    outcome(commit, server, "new/a")
    server.reset()
    assert outcome(commit, server, "new/b") == "ok"
    assert len(server.requests()) == 1
    assert len(server.documents) == 5


@pytest.mark.parametrize("effect", [status, applied_then, lambda code: cut_after(1, code)])
def test_a_code_that_does_not_exist_is_refused_where_it_is_written(effect):
    with pytest.raises(ValueError, match=r"^code must be the name of a gRPC status code .*, got 'BUSY'$"):
        effect("BUSY")


def test_a_script_for_an_unknown_rpc_says_which_there_are():
    with pytest.raises(ValueError, match=r"^a script needs one of the RPCs Commit, .*, Write, AddTarget, got 'Comit'$"):
        ScriptedFirestore(scripts={"Comit": []})


def test_scripts_of_requests_at_once_each_have_an_ordinal_of_their_own(server):
    ordinals = []
    server.script("Commit", lambda request, ordinal: ordinals.append(ordinal))
    threads = [threading.Thread(target=commit, args=(server, f"new/{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ordinals) == list(range(8))
    times = [document.update_time for path, document in server.documents.items() if path.startswith("new/")]
    assert all(one != other for one, other in itertools.combinations(times, 2))
