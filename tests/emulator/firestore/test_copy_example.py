"""The example runs as its docstring says."""

import datetime

import pytest

from examples.copy_collection import main
from tests.support.documents import read_collection
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import GeoPoint, Reference, Vector, serialised_fields

pytestmark = pytest.mark.emulator


def test_a_copy_has_the_same_ids_and_fields_of_every_type(firestore_host, firestore_project, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    target = FirestoreTarget(firestore_project, emulator_host=firestore_host)
    fields = {
        "null": None,
        "number": 2**63 - 1,
        "double": 1.0,
        "text": "é",
        "bytes": b"\x00",
        "moment": datetime.datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=datetime.timezone.utc),
        "place": GeoPoint(1.0, 2.0),
        "other": Reference(target.document_name("users/u1")),
        "vector": Vector((0.5, 1.0)),
        "nested": {"list": [1, {"a": []}]},
    }
    for n in range(30):
        name = target.document_name(f"users/u{n}")
        document = messages.document(name, serialised_fields({**fields, "n": n}))
        Committer(target.connect()).commit([AtomicGroup((messages.update(document),))])
    main(["--runner=FnApiRunner", f"--project={firestore_project}", "--source=users", "--destination=backup"])
    assert read_collection(target, "backup") == {f"u{n}": {**fields, "n": n} for n in range(30)}
