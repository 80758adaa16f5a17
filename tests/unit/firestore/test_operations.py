"""Operations: what is sent for each, and what is refused before anything is sent."""

import datetime
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import RecordError
from transforms.firestore import field_paths, messages
from transforms.firestore.document_ids import document_id, identified
from transforms.firestore.encode_writes import encoded
from transforms.firestore.operations import (
    ArrayRemove,
    ArrayUnion,
    Create,
    Delete,
    Increment,
    Maximum,
    Merge,
    Minimum,
    ServerTimestamp,
    Set,
    Update,
    adds_again,
    replaces_earlier,
)
from transforms.firestore.values import decode_fields

ROOT = "projects/p/databases/(default)/documents"
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


def write_of(operation):
    return messages.Write.FromString(encoded(operation, ROOT))


def mask_of(operation):
    write = write_of(operation)
    return list(write.update_mask.field_paths) if write.HasField("update_mask") else None


def condition_of(operation):
    condition = write_of(operation).current_document
    kind = condition.WhichOneof("condition_type")
    return None if kind is None else (kind, getattr(condition, kind))


def test_a_write_names_the_document_and_holds_its_fields():
    write = write_of(Set("users/ada/posts/1", {"text": "hi", "n": {"deep": [1, 2.5, None]}}))
    assert write.update.name == f"{ROOT}/users/ada/posts/1"
    assert decode_fields(write.update.fields) == {"text": "hi", "n": {"deep": [1, 2.5, None]}}


def test_a_deletion_is_a_name_and_nothing_else():
    assert write_of(Delete("users/ada")) == messages.Write(delete=f"{ROOT}/users/ada")


@pytest.mark.parametrize(
    ("operation", "mask"),
    [
        (Set("a/b", {"x": 1}), None),
        (Create("a/b", {"x": 1}), None),
        (Merge("a/b", {}), []),
        (Merge("a/b", {"x": 1, "m": {"y": 2, "empty": {}}}), ["x", "m.y", "m.empty"]),
        (Merge("a/b", {"full name": 1, "a.b": 1, "`": 1, "1st": 1}), ["`full name`", "`a.b`", r"`\``", "`1st`"]),
        (Update("a/b", {"x": 1, "m": {"y": 2}}), ["x", "m"]),
        (Update("a/b", {"m": {"y": 2}}, mask=("m.y", "gone")), ["m.y", "gone"]),
    ],
)
def test_the_mask_says_which_fields_are_written(operation, mask):
    assert mask_of(operation) == mask


@pytest.mark.parametrize(
    ("operation", "condition"),
    [
        (Set("a/b", {}), None),
        (Set("a/b", {}, exists=False), ("exists", False)),
        (Merge("a/b", {}, exists=True), ("exists", True)),
        (Create("a/b", {}), ("exists", False)),
        (Update("a/b", {}), ("exists", True)),
        (Delete("a/b", exists=True), ("exists", True)),
    ],
)
def test_the_precondition_is_the_operation_s_own_or_the_one_given(operation, condition):
    assert condition_of(operation) == condition


@pytest.mark.parametrize(
    "operation",
    [
        Set("a/b", {}, update_time=NOON),
        Merge("a/b", {}, update_time=NOON),
        Update("a/b", {}, update_time=NOON),
        Delete("a/b", update_time=NOON),
    ],
)
def test_an_update_time_replaces_every_other_precondition(operation):
    kind, moment = condition_of(operation)
    assert (kind, moment.seconds) == ("update_time", int(NOON.timestamp()))


def test_transforms_come_after_the_fields():
    transforms = {
        "at": ServerTimestamp(),
        "n": Increment(2),
        "high": Maximum(1.5),
        "low": Minimum(3),
        "tags": ArrayUnion(("a", "b")),
        "m.`old tags`": ArrayRemove([1]),
    }
    sent = write_of(Merge("a/b", {"x": 1}, transforms=transforms)).update_transforms
    assert [transform.field_path for transform in sent] == list(transforms)
    assert [transform.WhichOneof("transform_type") for transform in sent] == [
        "set_to_server_value",
        "increment",
        "maximum",
        "minimum",
        "append_missing_elements",
        "remove_all_from_array",
    ]
    assert (sent[1].increment.integer_value, sent[2].maximum.double_value) == (2, 1.5)
    assert [value.string_value for value in sent[4].append_missing_elements.values] == ["a", "b"]


@pytest.mark.parametrize(
    ("operation", "code", "message"),
    [
        (Set("users", {}), "INVALID_PATH", "a path must be COLLECTION/ID, an even number of segments, not 1; an id"),
        (Set("/users/ada", {}), "INVALID_PATH", 'must not begin or end with "/"'),
        (Set("users//a/b", {}), "INVALID_PATH", "must have no empty segment"),
        (Set(7, {}), "INVALID_PATH", "a path must be text, not int"),
        (Set("users/..", {}), "INVALID_ID", 'must not be "." or ".."'),
        (Delete("users/__x__"), "INVALID_ID", "reserved"),
        (Set("users/" + "x" * 1501, {}), "INVALID_ID", "must not exceed 1,500 bytes"),
        (Set("users/\ud800", {}), "INVALID_ID", "valid Unicode"),
        (Set("a/b", None), "INVALID_FIELDS", "fields must map names to values, got NoneType"),
        (Set("a/b", {"x": [[1]]}), "NESTED_ARRAY", r"x\[0\]"),
        (Set("a/b", {"x" * 800: {"y" * 700: 1}}), "FIELD_PATH_TOO_LONG", "takes 1,501 bytes, Firestore takes at most"),
        (Merge("a/b", {"x" * 800: {"y" * 700: 1}}), "FIELD_PATH_TOO_LONG", "shorten the names that lead to it"),
        (Update("a/b", {}, mask=(f"{'x' * 800}.{'y' * 700}",)), "FIELD_PATH_TOO_LONG", "takes 1,501 bytes"),
        (Set("a/b", {}, transforms={f"{'x' * 800}.{'y' * 700}": Increment(1)}), "FIELD_PATH_TOO_LONG", "1,501 bytes"),
        (Set("a/b", {"x": "y" * 1_100_000}), "DOCUMENT_TOO_LARGE", "the largest field is x"),
        (Set("a/b", {}, exists=True, update_time=NOON), "INVALID_PRECONDITION", "exclude each other"),
        (Set("a/b", {}, exists="yes"), "INVALID_PRECONDITION", "exists must be true or false"),
        (Delete("a/b", update_time="2026"), "INVALID_PRECONDITION", "update_time an aware datetime"),
        (Delete("a/b", update_time=datetime.datetime(2026, 1, 1)), "NAIVE_TIMESTAMP", "without time zone"),
        (Update("a/b", {}, mask=("a..b",)), "INVALID_FIELD_PATH", "'a..b' is not a field path"),
        (Update("a/b", {}, mask="name"), "INVALID_FIELD_PATH", "a sequence of field paths, not one text"),
        (Update("a/b", {"x": {"y": 1}}, mask=("x.z",)), "NOT_IN_MASK", "x.y has a value but is not in the mask"),
        (Set("a/b", {}, transforms={"n": 1}), "INVALID_TRANSFORM", "n: no field transform, but int"),
        (Set("a/b", {}, transforms={"n": Increment("1")}), "INVALID_TRANSFORM", "must be a number, not str"),
        (Set("a/b", {}, transforms={"n": Increment(True)}), "INVALID_TRANSFORM", "must be a number, not bool"),
        (Set("a/b", {}, transforms=[Increment(1)]), "INVALID_TRANSFORM", "must map field paths"),
        (Set("a/b", {}, transforms={"a b": Increment(1)}), "INVALID_FIELD_PATH", "'a b' is not a field path"),
        (Set("a/b", {}, transforms={"a": ArrayUnion([[1]])}), "NESTED_ARRAY", "array directly inside an array"),
    ],
)
def test_what_firestore_would_refuse_is_refused_before_and_says_why(operation, code, message):
    with pytest.raises(RecordError, match=message) as refused:
        encoded(operation, ROOT)
    assert refused.value.code == code


def test_a_numeric_id_of_datastore_may_be_written():
    assert write_of(Delete("users/__id7__")).delete == f"{ROOT}/users/__id7__"


def test_an_operation_survives_pickling_and_shows_no_values():
    operation = Update("a/b", {"secret": "x"}, mask=("secret",), transforms={"n": Increment(1)}, update_time=NOON)
    assert pickle.loads(pickle.dumps(operation)) == operation
    assert "secret': 'x'" not in repr(operation)
    assert "a/b" in repr(operation)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4))
def test_a_field_path_that_is_written_is_read_back(names):
    assert field_paths.parse(field_paths.render(names)) == tuple(names)


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a b", "`", "``", "`a", "1a", "a.`b`c", "ä"])
def test_what_is_no_field_path_is_refused(path):
    with pytest.raises(RecordError, match="is not a field path"):
        field_paths.parse(path)


def test_an_id_depends_on_the_named_fields_and_their_types_only():
    fields = {"email": "a@b.c", "n": 1, "m": {"deep": True}}
    assert document_id(fields, "email") == document_id({**fields, "n": 2}, "email")
    assert document_id(fields, "email", "n") == document_id(fields, "n", "email")
    assert len({document_id({"n": n}, "n") for n in (1, 1.0, "1", True, (1,), b"1")}) == 6
    assert document_id(fields, "m.deep") != document_id(fields, "email")


@pytest.mark.parametrize("fields", [{}, {"m": None}, {"m": {}}, {"m": {"deep": None}}, {"m": 3}])
def test_without_the_named_field_there_is_no_id(fields):
    with pytest.raises(RecordError, match=r"MISSING_ID: the document id is made of the field m\.deep, which is absent"):
        document_id(fields, "m.deep")


def test_an_id_of_no_fields_is_refused():
    with pytest.raises(ValueError, match="needs the name of at least one field"):
        document_id({"a": 1})


def test_only_an_element_without_an_id_is_given_one():
    fields = {"email": "a@b.c"}
    assert identified(Set("users/ada", fields), ["email"]).path == "users/ada"
    assert identified(Merge("users", fields), ["email"]).path == f"users/{document_id(fields, 'email')}"
    assert identified(Create("users/ada/posts", fields), ["email"]).path.startswith("users/ada/posts/")


@pytest.mark.parametrize(
    ("operation", "alone"),
    [
        (Set("a/b", {}), True),
        (Delete("a/b"), True),
        (Set("a/b", {}, transforms={"n": Increment(1)}), False),
        (Set("a/b", {}, exists=True), False),
        (Delete("a/b", update_time=NOON), False),
        (Merge("a/b", {}), False),
        (Update("a/b", {}), False),
        (Create("a/b", {}), False),
    ],
)
def test_only_what_leaves_nothing_of_the_document_before_replaces_earlier_writes(operation, alone):
    assert replaces_earlier(operation) is alone


@pytest.mark.parametrize(
    ("operation", "again"),
    [
        (Merge("a/b", {}, transforms={"n": Increment(1)}), True),
        (Create("a/b", {}, transforms={"n": Increment(1)}), True),
        (Update("a/b", {}, transforms={"n": Increment(1)}, update_time=NOON), False),
        (Merge("a/b", {}, transforms={"n": Maximum(1)}), False),
        (Delete("a/b"), False),
    ],
)
def test_only_an_increment_without_an_update_time_adds_again(operation, again):
    assert adds_again(operation) is again
