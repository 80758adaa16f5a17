"""Firestore's limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import RecordError
from transforms.firestore import messages
from transforms.firestore.limits import MAX_DOCUMENT_BYTES, check_document, document_size, index_entries
from transforms.firestore.messages import Document
from transforms.firestore.values import GeoPoint, Reference, encode_fields, serialised_fields

NAME = "projects/p/databases/(default)/documents/users/jeff/tasks/my_task_id"


def test_the_size_of_the_documentation_s_example_is_the_documentation_s():
    # "Storage size calculations" in the Firestore documentation: 44 for the name, 71 for the fields, 32 more.
    document = Document(name=NAME)
    encode_fields(
        {"type": "Personal", "done": False, "priority": 1, "description": "Learn Cloud Firestore"}, document.fields
    )
    assert document_size(document) == 147


@pytest.mark.parametrize(
    ("value", "n_bytes"),
    [
        (None, 1),
        (True, 1),
        (1, 8),
        (1.0, 8),
        ("é", 3),
        (b"abc", 3),
        (GeoPoint(0.0, 0.0), 16),
        (Reference(NAME), 44),
        ([1, "a"], 10),
        ({"a": 1}, 42),
        ({}, 32),
    ],
)
def test_the_size_of_each_type(value, n_bytes):
    document = Document(name=NAME)
    encode_fields({"f": value}, document.fields)
    assert document_size(document) == 44 + 32 + 2 + n_bytes


def document_of(record):
    return messages.document(NAME, serialised_fields(record))


def test_a_document_of_exactly_the_limit_passes_and_one_byte_more_does_not():
    overhead = 44 + 32 + len("text") + 1 + 1
    check_document(document_of({"text": "x" * (MAX_DOCUMENT_BYTES - overhead)}))
    with pytest.raises(RecordError, match=r"would take 1,048,577 bytes; .* the largest field is text with 1,048,496"):
        check_document(document_of({"text": "x" * (MAX_DOCUMENT_BYTES - overhead + 1)}))


def test_too_many_index_entries_are_refused_unless_the_fields_are_exempt():
    record = {"numbers": [float(n) for n in range(40_000)]}
    check_document(document_of(record), indexed=False)
    with pytest.raises(RecordError, match="40,002 index entries"):
        check_document(document_of(record))


def test_equal_elements_of_an_array_have_one_index_entry():
    document = Document()
    encode_fields({"tags": ["a"] * 100, "name": "x", "home": {"city": "b"}}, document.fields)
    assert index_entries(document.fields) == (1 + 2) + 2 + (2 + 2)


@given(st.lists(st.one_of(st.just({}), st.none(), st.integers(0, 3), st.just("")), min_size=1, max_size=50))
def test_no_document_below_the_unchecked_size_can_pass_a_limit(items):
    document = Document()
    encode_fields({"a": items}, document.fields)
    value = document.fields["a"]
    n_encoded = value.ByteSize()
    assert document_size(document) - 32 - 17 <= 8 * n_encoded + 16
    assert index_entries(document.fields) <= n_encoded / 4 * 2 + 2
