"""The first answer of Listen, on the scripted server and on the real emulator: the same messages.

What follows differs: the emulator sends everything again after each commit, and takes no notice of resume tokens.
"""

import pytest

from tests.support.listen_client import ListenClient, where
from transforms.firestore import messages
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import serialised_fields
from transforms.testing import ScriptedFirestore

pytestmark = pytest.mark.emulator
PROJECT = "demo-listen-agrees"
DOCUMENTS = {
    **{f"people/{n}": {"n": n, "even": n % 2 == 0} for n in range(6)},
    **{f"people/{n}/posts/{k}": {"likes": n * k} for n in range(2) for k in range(2)},
    "posts/r": {},
}
TARGETS = {
    "collection": {"collection": "people"},
    "below a document": {"collection": "posts", "parent": "/people/1"},
    "group": {"collection": "posts", "group": True},
    "filter": {"collection": "people", "where": where("even", "EQUAL", True)},
    "inequality": {"collection": "people", "where": where("n", "GREATER_THAN", 3)},
    "limit": {"collection": "people", "limit": {"value": 2}},
    "nothing": {"collection": "nobody"},
}


@pytest.fixture(scope="module")
def targets(firestore_host):
    with ScriptedFirestore(project=PROJECT) as scripted:
        both = scripted.target, FirestoreTarget(PROJECT, emulator_host=firestore_host)
        for target in both:
            writes = [
                messages.update(messages.document(target.document_name(path), serialised_fields(fields)))
                for path, fields in DOCUMENTS.items()
            ]
            target.connect().commit(writes, 30).result()
        yield both


def answer(target, add):
    """The messages of the answer, documents sorted, and whether the snapshot had a read time and a token."""
    with ListenClient(target) as client:
        add(client)
        first, *documents, current, consistent = client.snapshot()
        return first, sorted(documents), current, consistent, bool(client.read_time.seconds), bool(client.token)


@pytest.mark.parametrize("name", TARGETS)
def test_a_query_is_answered_alike(targets, name):
    scripted, emulator = (answer(target, lambda client: client.add(**TARGETS[name])) for target in targets)
    assert scripted == emulator
    assert scripted[2:] == ("CURRENT 1", "NO_CHANGE", True, True)


def test_documents_and_those_that_are_missing_are_answered_alike(targets):
    scripted, emulator = (
        answer(target, lambda client: client.add_documents("people/1", "people/x")) for target in targets
    )
    assert scripted == emulator
