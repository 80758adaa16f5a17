import gzip

import pytest

from tests.unit.inputs.conftest import Read


def test_rows_become_records_of_strings_without_empty_cells(read: Read) -> None:
    content = (
        b'\xef\xbb\xbfid,name,skills\r\n1,"Lovelace, Ada","Maths\r\nPoetry"\r\n\r\n2,,Compilers\r\n3,"say ""hi""",x'
    )
    for form in (content, gzip.compress(content)):
        found = read(form, name="a.csv")
        assert found.values == [
            {"id": "1", "name": "Lovelace, Ada", "skills": "Maths\r\nPoetry"},
            {"id": "2", "skills": "Compilers"},
            {"id": "3", "name": 'say "hi"', "skills": "x"},
        ]
        assert [(record.position, record.line) for record in found.records] == [(0, 2), (1, 5), (2, 6)]


def test_a_row_with_a_wrong_column_count_is_a_dead_letter_that_is_a_csv_of_its_own(read: Read) -> None:
    found = read(b"id,name\n1,Ada\n2\n3,Grace,secret\n4,Alan\n")
    assert [value["id"] for value in found.values] == ["1", "4"]
    assert found.codes == ["WRONG_COLUMN_COUNT"] * 2
    assert [letter.message for letter in found.dead_letters] == [
        "row 2 (line 3) has 1 cells, the header has 2",
        "row 3 (line 4) has 3 cells, the header has 2",
    ]
    assert [letter.original for letter in found.dead_letters] == [b"id,name\n2\n", b"id,name\n3,Grace,secret\n"]


def test_a_header_that_names_a_column_twice_makes_every_row_a_dead_letter(read: Read) -> None:
    found = read(b"id,,id\n1,2,3\n\n4,5,6\n", input_format="csv")
    assert (found.values, found.codes) == ([], ["INVALID_CSV_HEADER"] * 2)
    assert {letter.message for letter in found.dead_letters} == {
        "the header row is not usable: columns 1 and 3 have the same name; rename one of them with "
        "--rename_columns='#3=NAME', or leave it out with --drop_columns='#3'"
    }
    assert [(letter.original, letter.position, letter.line) for letter in found.dead_letters] == [
        (b"id,,id\n1,2,3\n", 0, 2),
        (b"id,,id\n4,5,6\n", 1, 4),
    ]


def test_a_header_that_is_wrong_and_alone_is_one_dead_letter(read: Read) -> None:
    (letter,) = read(b"id,,id\n", input_format="csv").dead_letters
    assert (letter.code, letter.original, letter.position) == ("INVALID_CSV_HEADER", b"id,,id\n", 0)


@pytest.mark.parametrize("header", [b'"id,name', b'"id"x,name', b"x" * 300 + b",name"], ids=["open", "text", "long"])
def test_a_row_never_takes_the_place_of_a_header_that_cannot_be_read(read: Read, header: bytes) -> None:
    content = header + b"\n1,Ada\n2,Grace\n"
    found = read(content, input_format="csv", max_record_bytes=200)
    (letter,) = found.dead_letters
    assert (found.values, letter.code, letter.unread_bytes) == ([], "UNREADABLE_FILE", len(content))


def test_a_row_that_is_not_utf8_is_one_dead_letter_with_its_own_bytes(read: Read) -> None:
    found = read(b"id,name\n1,Ada\n2,J\xf6rg\n3,Grace\n")
    assert [value["id"] for value in found.values] == ["1", "3"]
    (letter,) = found.dead_letters
    assert letter.code == "NOT_UTF8"
    assert letter.message == "row 2 is not UTF-8; convert the file to UTF-8, or name its --encoding"
    assert letter.original == b"id,name\n2,J\xf6rg\n"


def test_a_row_with_quotes_gone_wrong_is_one_dead_letter(read: Read) -> None:
    found = read(b'id,name\n1,"Ada"x\n2,Grace\n')
    assert [value["id"] for value in found.values] == ["2"]
    (letter,) = found.dead_letters
    assert (letter.code, letter.original, letter.line) == ("INVALID_CSV", b'id,name\n1,"Ada"x\n', 2)


@pytest.mark.parametrize("delimiter", [b",", b";", b"\t", b"|"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("limit", [2000, 2**24], ids=["beyond the limit", "to the end"])
def test_a_quote_that_is_never_closed_makes_the_rest_unreadable(
    read: Read, delimiter: bytes, compressed: bool, limit: int
) -> None:
    before, after = b'\xef\xbb\xbfid,name\n1,Ada\n2,"Gr\xc3\xa4ce, x"\n', b'3,"Grace\n' + b"4,Alan\n" * 1000
    before, after = (part.replace(b",", delimiter) for part in (before, after))
    content = before + after
    found = read(gzip.compress(content) if compressed else content, name="a.csv", max_record_bytes=limit)
    assert [value["id"] for value in found.values] == ["1", "2"]
    (letter,) = found.dead_letters
    assert (letter.code, letter.line, letter.position) == ("UNREADABLE_FILE", 4, 2)
    assert letter.unread_bytes == len(after)
    assert "the row that begins at line 4 has a quote that is not closed" in letter.message
    assert f"{len(after):,} bytes were not" in letter.message
    assert isinstance(letter.original, bytes)
    assert after.startswith(letter.original)


@pytest.mark.parametrize(
    "rest",
    [
        b'4,"Alan",x\n5,Edsger,y\n',
        b'"4","Alan","x"\n5,Edsger,y\n',
        b'4,", Alan",x\n5,Edsger,y\n',
        b'4,Alan,"x"\n5,Edsger,y\n',
        b"4,Alan,x\n" * 9 + b'5,"",x\n6,Edsger,y\n',
        b'4,6" pipe,x\n5,Edsger,y\n',
        b"",
    ],
    ids=["quoted cell", "all quoted", "delimiter first", "last cell", "empty cell", "inch", "last row"],
)
def test_a_quote_that_only_the_next_quote_closes_swallows_no_row(read: Read, rest: bytes) -> None:
    after = b'3,"Grace,x\n' + rest
    found = read(b"id,name,note\n1,Ada,x\n" + after, name="a.csv")
    assert found.values == [{"id": "1", "name": "Ada", "note": "x"}]
    assert (found.codes, [letter.unread_bytes for letter in found.dead_letters]) == (["UNREADABLE_FILE"], [len(after)])


def test_rows_of_several_lines_may_hold_what_looks_like_a_quote_not_closed(read: Read) -> None:
    content = b'id,a,b\n1,6" pipe,"two\nlines"\n2,"two,\nlines,",x\n3,"say ""hi"",\n",\n4,"x\ny",6" pipe\n'
    assert read(content).values == [
        {"id": "1", "a": '6" pipe', "b": "two\nlines"},
        {"id": "2", "a": "two,\nlines,", "b": "x"},
        {"id": "3", "a": 'say "hi",\n'},
        {"id": "4", "a": "x\ny", "b": '6" pipe'},
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a"])
@pytest.mark.parametrize("delimiter", [b",", b";", b"\t", b"|"])
def test_the_delimiter_is_found_behind_a_quote_that_is_never_closed(read: Read, name: str, delimiter: bytes) -> None:
    content = b'id,name\n1,"Ada\n2,Grace\n3,Alan\n4,Edsger\n'.replace(b",", delimiter)
    assert read(content, name=name).codes == ["UNREADABLE_FILE"]
    assert read(content.replace(b'"', b""), name=name).codes == []


def test_a_row_beyond_the_limit_is_a_dead_letter_and_the_others_are_read(read: Read) -> None:
    found = read(b"id,name\n1,Ada\n2," + b"x" * 3000 + b"\n3,Grace\n", max_record_bytes=1000)
    assert [value["id"] for value in found.values] == ["1", "3"]
    assert found.codes == ["RECORD_TOO_LARGE"]


def test_a_cell_may_be_longer_than_the_standard_library_expects(read: Read) -> None:
    (value,) = read(b"id,text\n1," + b"x" * 200_000 + b"\n").values
    assert len(value["text"]) == 200_000


def test_a_header_alone_has_no_batch(read: Read) -> None:
    assert read(b"id,name\n").batches == []


def test_batches_of_rows_are_bounded(read: Read) -> None:
    found = read(b"id,name\n" + b"1,Ada\n" * 10, batch_size=4)
    assert [batch.read for batch in found.batches] == [4, 4, 2]
