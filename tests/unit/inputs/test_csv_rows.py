import gzip

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


def test_a_header_that_names_a_column_twice_or_not_at_all_is_one_dead_letter(read: Read) -> None:
    (letter,) = read(b"id,,id\n1,2,3\n4,5,6\n", input_format="csv").dead_letters
    assert letter.code == "INVALID_CSV_HEADER"
    assert letter.message == (
        "the header row has an empty name in column 2 and a repeated name in column 3; name every column once"
    )
    assert (letter.original, letter.line) == (b"id,,id\n", 1)


def test_a_row_that_is_not_utf8_is_one_dead_letter_with_its_own_bytes(read: Read) -> None:
    found = read(b"id,name\n1,Ada\n2,J\xf6rg\n3,Grace\n")
    assert [value["id"] for value in found.values] == ["1", "3"]
    (letter,) = found.dead_letters
    assert (letter.code, letter.message) == ("NOT_UTF8", "row 2 is not UTF-8; convert the file to UTF-8")
    assert letter.original == b"id,name\n2,J\xf6rg\n"


def test_a_row_with_quotes_gone_wrong_is_one_dead_letter(read: Read) -> None:
    found = read(b'id,name\n1,"Ada"x\n2,Grace\n')
    assert [value["id"] for value in found.values] == ["2"]
    (letter,) = found.dead_letters
    assert (letter.code, letter.original, letter.line) == ("INVALID_CSV", b'id,name\n1,"Ada"x\n', 2)


def test_a_quote_that_is_never_closed_loses_nothing(read: Read) -> None:
    content = b'id,name\n1,Ada\n2,"Grace\n' + b"3,Alan\n" * 1000
    at_the_end = read(content)
    assert (at_the_end.values, at_the_end.codes) == ([{"id": "1", "name": "Ada"}], ["INVALID_CSV"])
    beyond_limit = read(content, max_record_bytes=2000)
    assert (beyond_limit.values, beyond_limit.codes) == ([{"id": "1", "name": "Ada"}], ["UNREADABLE_FILE"])
    assert "the row that begins at line 3 has a quote that is not closed" in beyond_limit.dead_letters[0].message


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
