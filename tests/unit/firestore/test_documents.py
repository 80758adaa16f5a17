"""A document as it was read: lazy, small on the wire between workers, immutable, silent about its values."""

import datetime
import pickle

import pytest

from transforms.firestore import messages
from transforms.firestore.documents import Document
from transforms.firestore.values import encode_fields

UTC = datetime.timezone.utc
NAME = "projects/acme/databases/(default)/documents/users/ada"


def document(fields=None, name=NAME, updated_s=1_700_000_000, nanos=123_456_000):
    message = messages.Document(name=name)
    encode_fields({"name": "Ada", "age": 36} if fields is None else fields, message.fields)
    message.create_time.seconds, message.update_time.seconds = 1_600_000_000, updated_s
    message.update_time.nanos = nanos
    return Document(message)


def test_a_document_has_its_names_times_and_values():
    ada = document()
    assert (ada.path, ada.id, ada.name, ada.exists) == ("users/ada", "ada", NAME, True)
    assert ada.fields == {"name": "Ada", "age": 36}
    assert ada.create_time == datetime.datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)
    assert ada.update_time == datetime.datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)
    assert ada.to_dict() == {"__name__": "users/ada", "name": "Ada", "age": 36}


def test_a_path_without_document_has_neither_values_nor_times():
    nobody = Document(messages.Document(name=NAME))
    assert not nobody.exists
    assert (nobody.path, nobody.fields, nobody.create_time, nobody.update_time) == ("users/ada", {}, None, None)


def test_fields_are_decoded_once():
    ada = document()
    assert ada.fields is ada.fields


@pytest.mark.parametrize("ada", [document(), Document(messages.Document(name=NAME))], ids=["exists", "missing"])
def test_a_document_travels_between_workers_as_it_is(ada):
    assert pickle.loads(pickle.dumps(ada)) == ada
    assert Document.from_bytes(ada.to_bytes()) == ada


def test_a_pickled_document_is_little_more_than_its_bytes_and_never_its_decoded_values():
    ada = document({"text": "x" * 2_000})
    assert ada.fields["text"]
    assert len(pickle.dumps(ada)) < ada.n_bytes + 120


def test_a_document_cannot_be_changed():
    with pytest.raises(AttributeError, match=r"^a Document is immutable; make a new one instead of setting path$"):
        document().path = "users/bob"


@pytest.mark.parametrize(
    "other",
    [document({"name": "Ada"}), document(name=NAME + "x"), document(updated_s=1_700_000_001), "users/ada"],
    ids=["values", "name", "version", "type"],
)
def test_documents_differ_in_values_name_and_version(other):
    assert document() != other


def test_equal_documents_are_one_in_a_set_whatever_the_order_of_their_fields():
    one, other = document({"a": 1, "b": 2}), document({"b": 2, "a": 1})
    assert len({one, other}) == 1


def test_the_text_of_a_document_shows_no_values():
    assert repr(document()) == "Document('users/ada', update_time=2023-11-14 22:13:20.123456+00:00)"
