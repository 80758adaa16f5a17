"""CSV as Excel, pandas and other tools leave it: read where nothing is lost, else a dead letter with a reason."""

import gzip

import pytest

from tests.unit.inputs.conftest import Read

ADA, GRACE = {"id": "1", "name": "Ada"}, {"id": "2", "name": "Grace"}


@pytest.mark.parametrize(
    "content",
    [
        b"sep=;\nid;name\n1;Ada\n2;Grace\n",
        b"\xef\xbb\xbfsep=;\r\nid;name\r\n1;Ada\r\n2;Grace\r\n",
        b'"sep=;"\nid;name\n1;Ada\n2;Grace\n',
        b"SEP=\t\nid\tname\n1\tAda\n2\tGrace\n",
        b"sep=^\nid^name\n1^Ada\n2^Grace\n",
        b"sep=,\n\nid,name\n1,Ada\n2,Grace\n",
        b"id,name,\n1,Ada,\n2,Grace,\n",
        b"id,name,,\n1,Ada,,\n2,Grace\n",
        b"id,name\n1,Ada,\n2,Grace,,\n",
        b",id,name\n0,1,Ada\n1,2,Grace\n",
        b",id,name\n17,1,Ada\n-4,2,Grace\n",
        b",id,name,\n0,1,Ada,\n1,2,Grace,\n",
        b"id,name\n1,Ada\n,\n2,Grace\n,\n,\n",
        b",,\nid,name,\n,,\n1,Ada,\n2,Grace,\n,,,,\n",
        b"id,name\n1,Ada\n\xef\xbb\xbfid,name\n2,Grace\n",
        b'\xef\xbb\xbfid,name\n1,Ada\n\xef\xbb\xbf"id","name"\n"2","Grace"\n',
        b"id,name\n1,Ada\n\xef\xbb\xbf2,Grace\n",
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a"])
def test_what_says_nothing_is_passed_over(read: Read, content: bytes, name: str) -> None:
    found = read(gzip.compress(content) if name.endswith(".gz") else content, name=name)
    assert (found.values, found.codes) == ([ADA, GRACE], [])


def test_rows_keep_their_numbers_whatever_is_passed_over(read: Read) -> None:
    found = read(b"sep=;\nid;name\n;\n1;Ada\n\n;;\n2;Grace\n")
    assert [(record.position, record.line) for record in found.records] == [(1, 4), (3, 7)]


@pytest.mark.parametrize(
    ("content", "column"),
    [
        (b",id,name\n0,1,Ada\np2,2,Grace\n", 1),
        (b"id,name,\n1,Ada,\n2,Grace,x\n", 3),
        (b"id,,name\n1,,Ada\n2,7,Grace\n", 2),
        (b" ,id,name\n0,1,Ada\n0.5,2,Grace\n", 1),
    ],
    ids=["text index", "last", "within", "fraction"],
)
def test_a_value_in_a_column_without_name_is_not_lost(read: Read, content: bytes, column: int) -> None:
    found = read(content, name="a.csv")
    assert found.values == [ADA]
    (letter,) = found.dead_letters
    assert letter.code == "UNNAMED_COLUMN"
    assert letter.message == (
        f"row 2 (line 3) has a value in column {column}, which has no name; name it with "
        f"--rename_columns='#{column}=NAME', or leave it out with --drop_columns='#{column}'"
    )
    assert isinstance(letter.original, bytes)
    assert letter.original.splitlines() == [content.splitlines()[0], content.splitlines()[2]]


def test_a_value_behind_the_last_column_is_not_lost(read: Read) -> None:
    found = read(b"id,name\n1,Ada,\n2,Grace,,x\n3,Alan\n")
    assert (len(found.values), found.codes) == (2, ["WRONG_COLUMN_COUNT"])
    assert found.dead_letters[0].message == "row 2 (line 3) has 4 cells, the header has 2"


@pytest.mark.parametrize(
    ("content", "drop", "rename", "expected"),
    [
        (b"id,name,x\n1,Ada,7\n", ("x",), (), ADA),
        (b"id,name,name\n1,Ada,7\n", ("#3",), (), ADA),
        (b"id,name,name\n1,Ada,7\n", (), ("#3=other",), {**ADA, "other": "7"}),
        (b"id,a,a\n1,2,3\n", ("a",), (), {"id": "1"}),
        (b",name\n1,Ada\n", (), ("#1=id",), ADA),
        (b"key,name,\n1,Ada,x\n", ("#3",), ("key=id",), ADA),
        (b"#2,id\nAda,1\n", (), ("#2=name",), ADA),
        (b"id,b=c\n1,Ada\n", (), ("#2=name",), ADA),
        (b"id,a\n1,Ada\n", (), ("a=b=c",), {"id": "1", "b=c": "Ada"}),
    ],
    ids=["name", "place", "second", "both", "index", "all", "a name like a place", "equals sign", "new equals sign"],
)
def test_columns_are_left_out_and_renamed_by_name_or_place(
    read: Read, content: bytes, drop: tuple[str, ...], rename: tuple[str, ...], expected: dict[str, str]
) -> None:
    found = read(content, name="a.csv", drop_columns=drop, rename_columns=rename)
    assert (found.values, found.codes) == ([expected], [])


@pytest.mark.parametrize(
    ("drop", "rename", "problem"),
    [
        (("nane",), (), "there is no column nane, which is to be left out or renamed"),
        (("#4",), (), "there is no column #4, which is to be left out or renamed"),
        ((), ("x=y",), "there is no column x, which is to be left out or renamed"),
        ((), ("b=id",), "columns 1 and 3 have the same name; rename one of them with --rename_columns='#3=NAME'"),
    ],
)
def test_columns_that_cannot_be_as_asked_are_said_of_every_row(
    read: Read, drop: tuple[str, ...], rename: tuple[str, ...], problem: str
) -> None:
    found = read(b"id,a,b\n1,2,3\n4,5,6\n", drop_columns=drop, rename_columns=rename)
    assert found.codes == ["INVALID_CSV_HEADER"] * 2
    assert all(letter.message.startswith(f"the header row is not usable: {problem}") for letter in found.dead_letters)
