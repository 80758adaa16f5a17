import datetime
import math
import time
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from transforms.bigquery.schema import Column
from transforms.bigquery.storage_rows import RowMessage
from transforms.errors import RecordError

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def struct(name: str, *fields: Column, mode: str = "NULLABLE") -> Column:
    return Column(name, "STRUCT", mode, fields=fields)


def parsed(message: RowMessage, row: bytes) -> Any:
    """The row as somebody reads it who has nothing but the descriptor."""
    descriptor = descriptor_pb2.DescriptorProto.FromString(message.descriptor.SerializeToString())
    descriptor.name = "renamed_by_the_server"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto(name="a.proto", package="b", message_type=[descriptor]))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"b.{descriptor.name}")).FromString(row)


@pytest.mark.parametrize(
    ("column_type", "cell", "stored"),
    [
        ("STRING", "Zoë 😀\x00", "Zoë 😀\x00"),
        ("STRING", "", ""),
        ("JSON", '{"a":[1,null]}', '{"a":[1,null]}'),
        ("GEOGRAPHY", "POINT(1.5 -2)", "POINT(1.5 -2)"),
        ("NUMERIC", "99999999999999999999999999999.999999999", "99999999999999999999999999999.999999999"),
        ("INT64", -(2**63), -(2**63)),
        ("INT64", 0, 0),
        ("FLOAT64", 0.1 + 0.2, 0.1 + 0.2),
        ("FLOAT64", 3, 3.0),
        ("FLOAT64", -math.inf, -math.inf),
        ("BOOL", False, False),
        ("BYTES", b"\x00\xff", b"\x00\xff"),
        ("TIMESTAMP", EPOCH + datetime.timedelta(microseconds=1), 1),
        ("TIMESTAMP", datetime.datetime(1, 1, 1, tzinfo=UTC), -62135596800000000),
        ("TIMESTAMP", datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), 253402300799999999),
        ("TIMESTAMP", 1_700_000_000_000_001, 1_700_000_000_000_001),
    ],
)
def test_a_cell_of_every_type_is_read_back_as_it_was(column_type: str, cell: Any, stored: Any) -> None:
    message = RowMessage([Column("c", column_type), Column("cs", column_type, "REPEATED")])
    row = parsed(message, message.serialised({"c": cell, "cs": [cell, cell]}))
    assert row.HasField("c")
    assert (row.c, list(row.cs)) == (stored, [stored, stored])


def test_not_a_number_stays_one() -> None:
    message = RowMessage([Column("c", "FLOAT64")])
    assert math.isnan(parsed(message, message.serialised({"c": math.nan})).c)


def test_missing_cells_and_none_are_null_even_in_a_required_column() -> None:
    message = RowMessage([Column("a", "INT64", "REQUIRED"), Column("t", "TIMESTAMP"), Column("b", "STRING")])
    row = parsed(message, message.serialised({"b": None, "t": None}))
    assert not any(row.HasField(name) for name in ("a", "t", "b"))


def test_a_timestamp_of_another_zone_is_the_same_moment() -> None:
    message = RowMessage([Column("t", "TIMESTAMP")])
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    assert parsed(message, message.serialised({"t": EPOCH.astimezone(zone)})).t == 0


def test_structs_nest_repeat_and_convert_their_cells() -> None:
    inner = struct("inner", Column("at", "TIMESTAMP"), Column("n", "INT64"), mode="REPEATED")
    message = RowMessage([Column("id", "STRING"), struct("outer", inner, Column("s", "STRING"))])
    row = parsed(message, message.serialised({"outer": {"inner": [{"at": EPOCH, "n": 1}, {}, {"n": None}], "s": "x"}}))
    assert [(item.HasField("at"), item.at, item.n) for item in row.outer.inner] == [
        (True, 0, 1),
        (False, 0, 0),
        (False, 0, 0),
    ]
    assert (row.outer.s, row.HasField("id")) == ("x", False)


def test_a_struct_may_share_its_name_with_what_a_message_calls_it() -> None:
    message = RowMessage([struct("Struct1", Column("Struct1", "INT64")), struct("Struct2", Column("x", "BOOL"))])
    row = parsed(message, message.serialised({"Struct1": {"Struct1": 7}, "Struct2": {"x": True}}))
    assert (row.Struct1.Struct1, row.Struct2.x) == (7, True)


@pytest.mark.parametrize("name", ["self", "class", "from", "None", "_overflow", "DESCRIPTOR", "Clear"])
def test_words_of_python_are_columns_like_any_other(name: str) -> None:
    message = RowMessage([Column(name, "STRING")])
    row = parsed(message, message.serialised({name: "x"}))
    assert [(field.name, value) for field, value in row.ListFields()] == [(name, "x")]


def test_names_that_differ_only_in_how_they_are_put_together_are_two_columns() -> None:
    message = RowMessage([Column("user_id", "STRING"), Column("userId", "STRING"), Column("userid_", "STRING")])
    row = parsed(message, message.serialised({"user_id": "a", "userId": "b", "userid_": "c"}))
    assert (row.user_id, row.userId, row.userid_) == ("a", "b", "c")


@pytest.mark.parametrize("name", ["name-列", "a b", "1st", "straße"])
def test_a_name_that_is_no_identifier_goes_by_the_column_name_annotation(name: str) -> None:
    message = RowMessage([Column("column_2", "STRING"), Column(name, "TIMESTAMP", "REPEATED")])
    row = parsed(message, message.serialised({"column_2": "x", name: [EPOCH]}))
    field = message.descriptor.field[1]
    assert field.name == "column_2_"
    assert (row.column_2, list(row.column_2_)) == ("x", [0])
    option = descriptor_pb2.DescriptorProto(name="O")
    option.field.add(name="column_name", number=454943157, type=9, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto(name="o.proto", message_type=[option]))
    annotation = message_factory.GetMessageClass(pool.FindMessageTypeByName("O"))
    assert annotation.FromString(field.options.SerializeToString()).column_name == name


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"n": "secret"}, "column n: this str does not fit INT64"),
        ({"n": 2**63}, "column n: this int does not fit INT64"),
        ({"n": 1.5}, "column n: this float does not fit INT64"),
        ({"f": "NaN"}, "column f: this str does not fit FLOAT64"),
        ({"f": 10**400}, "column f: this int does not fit FLOAT64"),
        ({"s": "\ud800"}, "column s: this str does not fit ARRAY<STRING>"),
        ({"s": ["a", None]}, "column s: this list does not fit ARRAY<STRING>"),
        ({"t": datetime.datetime(2026, 1, 1)}, "column t: this datetime does not fit TIMESTAMP"),
        ({"t": "2026-01-01T00:00:00Z"}, "column t: this str does not fit TIMESTAMP"),
        ({"f": 1.0, "secret": 1}, "column secret: the table has no such column"),
    ],
)
def test_a_cell_that_does_not_fit_is_named_without_its_value(cells: dict[str, Any], problem: str) -> None:
    message = RowMessage(
        [Column("n", "INT64"), Column("f", "FLOAT64"), Column("s", "STRING", "REPEATED"), Column("t", "TIMESTAMP")]
    )
    with pytest.raises(RecordError) as raised:
        message.serialised(cells)
    assert (raised.value.code, raised.value.message) == ("INVALID", problem)


def test_a_type_without_a_place_in_a_message_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(ValueError, match=r"^column d must be of one of STRING, .*STRUCT to be appended, got INTERVAL$"):
        RowMessage([Column("d", "INTERVAL")])


CELLS = {
    "STRING": st.text(st.characters(exclude_categories=["Cs"])),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "FLOAT64": st.floats(allow_nan=False),
    "BOOL": st.booleans(),
    "BYTES": st.binary(),
    "TIMESTAMP": st.datetimes(timezones=st.just(UTC)),
}


@given(st.fixed_dictionaries({}, optional={**CELLS, **{f"{name}_S": st.lists(cell) for name, cell in CELLS.items()}}))
def test_any_row_is_read_back_as_it_was(cells: dict[str, Any]) -> None:
    message = RowMessage(
        [*(Column(name, name) for name in CELLS), *(Column(f"{name}_S", name, "REPEATED") for name in CELLS)]
    )
    row = parsed(message, message.serialised(cells))
    found = {field.name: list(value) if field.name.endswith("_S") else value for field, value in row.ListFields()}
    for name, convert in (("TIMESTAMP", _moment), ("TIMESTAMP_S", lambda values: [_moment(v) for v in values])):
        if name in found:
            found[name] = convert(found[name])
    assert found == {name: cell for name, cell in cells.items() if cell != []}


def _moment(microseconds: int) -> datetime.datetime:
    return EPOCH + datetime.timedelta(microseconds=microseconds)


def test_a_message_is_compiled_once_and_then_only_filled() -> None:
    columns = [Column(f"s{n}", "STRING") for n in range(20)]
    cells = {column.name: "x" * 100 for column in columns}
    message = RowMessage(columns)
    assert _cpu_s(lambda: message.serialised(cells)) * 5 < _cpu_s(lambda: RowMessage(columns).serialised(cells))


def _cpu_s(work: Any) -> float:
    """Of the fastest of some runs."""

    def once() -> float:
        began = time.process_time()
        for _ in range(20):
            work()
        return time.process_time() - began

    return min(once() for _ in range(5))
