"""One write on one document: masks, transforms, preconditions, limits, versions."""

import math

import pytest
from hypothesis import given

from tests.support.any_documents import records, same
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.values import decode, decode_fields, encode, encode_fields
from transforms.testing.writes import apply

NAME = "projects/p/databases/d/documents/users/ada"
STORED = {"n": 1, "x": 2.5, "tags": [1, "a", None], "a": {"b": 1, "c": {"d": 2}}}
BEFORE_US, NOW_US = 1_000_000, 2_000_500


def written(fields, mask=None, *, transforms=(), **precondition):
    write = messages.Write(current_document=precondition or None)
    write.update.name = NAME
    encode_fields(fields, write.update.fields)
    if mask is not None:
        write.update_mask.CopyFrom(messages.DocumentMask(field_paths=mask))
    for field_path, kind, operand in transforms:
        value = {"values": map(encode, operand)} if isinstance(operand, list) else encode(operand)
        write.update_transforms.add(field_path=field_path, **{kind: value})
    return write


def stored(fields=None):
    document, _ = apply(written(STORED if fields is None else fields), None, BEFORE_US)
    return document


def fields_after(write, before):
    document, _ = apply(write, before, NOW_US)
    return decode_fields(document.fields)


@given(records, records)
def test_a_set_leaves_its_own_fields_whatever_was_there(first, second):
    assert same(fields_after(written(second), stored(first)), decode_fields(written(second).update.fields))


@pytest.mark.parametrize(
    ("fields", "mask", "after"),
    [
        ({"n": 2}, ["n"], {**STORED, "n": 2}),
        ({"n": 2, "y": 3}, ["y"], {**STORED, "y": 3}),
        ({}, ["n", "none", "none.below"], {name: STORED[name] for name in ("x", "tags", "a")}),
        ({"a": {"c": {"d": 3}}}, ["a.c.d"], {**STORED, "a": {"b": 1, "c": {"d": 3}}}),
        ({"a": {"c d": 3}}, ["a.`c d`"], {**STORED, "a": {**STORED["a"], "c d": 3}}),
        ({"n": {"m": 1}}, ["n.m"], {**STORED, "n": {"m": 1}}),
        ({}, ["n.m"], STORED),
        ({"n": 2}, [], STORED),
    ],
)
def test_a_mask_writes_its_fields_and_removes_those_without_a_value(fields, mask, after):
    assert fields_after(written(fields, mask), stored()) == after


def test_a_mask_creates_a_document_that_is_not_there():
    assert fields_after(written({"a": {"b": 1}, "c": 2}, ["a.b"]), None) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("transform", "value"),
    [
        (("n", "increment", 2), 3),
        (("n", "increment", 0.5), 1.5),
        (("none", "increment", 2), 2),
        (("tags", "increment", 2), 2),
        (("n", "increment", 2**63 - 1), 2**63 - 1),
        (("n", "maximum", 2), 2),
        (("n", "maximum", 1.0), 1),
        (("x", "minimum", 2), 2),
        (("x", "maximum", math.nan), math.nan),
        (("tags", "append_missing_elements", [1.0, "b", "b", None]), [1, "a", None, "b"]),
        (("n", "append_missing_elements", [1]), [1]),
        (("tags", "remove_all_from_array", [1.0, "z"]), ["a", None]),
        (("none", "remove_all_from_array", [1]), []),
    ],
)
def test_a_transform_calculates_from_what_is_stored(transform, value):
    document, result = apply(written({}, [], transforms=[transform]), stored(), NOW_US)
    assert same(decode_fields(document.fields)[transform[0]], value)
    (returned,) = map(decode, result.transform_results)
    assert same(returned, None if isinstance(value, list) else value)


def test_the_server_s_time_is_that_of_the_commit_in_milliseconds():
    write = written({}, [])
    write.update_transforms.add(field_path="at", set_to_server_value="REQUEST_TIME")
    document, _ = apply(write, None, NOW_US)
    assert document.fields["at"].timestamp_value.ToMicroseconds() == 2_000_000


def test_a_transform_of_its_own_is_applied_to_a_document_as_it_is():
    write = messages.Write()
    write.transform.document = NAME
    write.transform.field_transforms.add(field_path="n", increment=encode(1))
    assert fields_after(write, stored()) == {**STORED, "n": 2}


@pytest.mark.parametrize(
    ("exists", "precondition", "code"),
    [
        (True, {"exists": True}, None),
        (True, {"exists": False}, "ALREADY_EXISTS"),
        (True, {"update_time": {"seconds": 1}}, None),
        (True, {"update_time": {"seconds": 1, "nanos": 1_000}}, "FAILED_PRECONDITION"),
        (False, {"exists": True}, "NOT_FOUND"),
        (False, {"exists": False}, None),
        (False, {"update_time": {"seconds": 1}}, "FAILED_PRECONDITION"),
    ],
)
@pytest.mark.parametrize("delete", [False, True], ids=["update", "delete"])
def test_a_write_happens_only_if_its_precondition_holds(exists, precondition, code, delete):
    write = messages.Write(delete=NAME, current_document=precondition) if delete else written({}, **precondition)
    before = stored() if exists else None
    if code is None:
        document, _ = apply(write, before, NOW_US)
        assert (document is None) is delete
    else:
        with pytest.raises(RpcError, match=f"^{code}: "):
            apply(write, before, NOW_US)


def test_a_version_tells_when_the_document_was_created_and_when_it_changed():
    document, result = apply(written({"n": 2}), stored(), NOW_US)
    assert [each.ToMicroseconds() for each in (document.create_time, document.update_time)] == [BEFORE_US, NOW_US]
    assert result.update_time == document.update_time


@pytest.mark.parametrize("write", [written(STORED), written({"n": 1}, ["n"]), written({}, [])])
def test_a_write_that_changes_nothing_leaves_the_version(write):
    before = stored()
    document, result = apply(write, before, NOW_US)
    assert document is before
    assert result.update_time == before.update_time


def test_another_type_is_a_change():
    document, _ = apply(written({**STORED, "n": 1.0}), stored(), NOW_US)
    assert document.update_time.ToMicroseconds() == NOW_US


def test_a_document_that_is_too_large_is_refused():
    with pytest.raises(RpcError, match=r"^INVALID_ARGUMENT: the document would take 1,0.* at most 1,048,576"):
        apply(written({"text": "x" * 2**20}), None, NOW_US)
