"""Files into BigQuery, end to end: files as people have them, the emulators, and the command as a user types it."""

import datetime
import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.objects import Bucket, Container

pytestmark = pytest.mark.emulator

UTC = datetime.timezone.utc
METHODS = ("INSERT_ROWS", "STORAGE_WRITE_EXACTLY_ONCE", "FILE_LOADS")
OF_RUN = ("_read_time", "_extracted_at", "_deleted_at", "_key")
CSV = "id,price,day,at,ok,code,note\n1,1.50,2026-01-31,2026-01-31T12:00:00.5Z,true,007,\n2,-3,2026-02-01,,false,+1,x\n"


def values(desk, suffix="_latest"):
    rows = desk.rows(suffix, order="_key")
    return [{name: value for name, value in row.items() if name not in OF_RUN} for row in rows]


def types(desk):
    schema = desk.target.client().get_table(desk.target.id).schema
    return {field.name: field.field_type for field in schema if field.description.startswith("source column")}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_in_the_same_rows(desk, tmp_path, method):
    (tmp_path / "a.csv").write_text(CSV)
    flags = (f"--bigquery_method={method}", f"--temp_location=gs://{desk.bigquery.bucket}/temp")
    assert desk.export(f"--source={tmp_path}/*.csv", "--key=id", *flags) == 0
    assert desk.counts() == (2, 2, 0)
    assert desk.summary["results"].pop("types")
    assert desk.summary["results"] == {"files_read": 1, "rows_read": 2, "rows_changed": 2, "rows_latest": 2}
    assert types(desk) == {
        "id": "INTEGER",
        "price": "NUMERIC",
        "day": "DATE",
        "at": "TIMESTAMP",
        "ok": "BOOLEAN",
        "code": "STRING",
        "note": "STRING",
    }
    first, second = values(desk)
    assert first == {
        "id": 1,
        "price": Decimal("1.5"),
        "day": datetime.date(2026, 1, 31),
        "at": datetime.datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC),
        "ok": True,
        "code": "007",
        "note": None,
        "_overflow": None,
    }
    assert (second["at"], second["code"], second["note"]) == (None, "+1", "x")
    assert desk.staging_tables() == []


def test_parquet_is_what_it_declares_and_what_does_not_fit_is_kept_beside_it(desk, tmp_path):
    nanosecond = pa.array([1_000, 1_001], pa.timestamp("ns", "UTC"))
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int32()),
            "amount": pa.array([Decimal("1.10"), None], pa.decimal128(20, 2)),
            "wide": pa.array([Decimal("0.12345678901234567"), Decimal(1)], pa.decimal128(38, 18)),
            "at": nanosecond,
            "local": pa.array([1_500, None], pa.timestamp("ms")),
            "day": pa.array([0, 10_000_000], pa.date32()),
            "tags": pa.array([["a", "b"], None], pa.list_(pa.string())),
            "of": pa.array([{"x": 1, "y": [1.5]}, None]),
            "raw": pa.array([b"\x00\xff", None]),
            "single": pa.array([0.1, None], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert desk.export(f"--source={tmp_path}/a.parquet", "--key=id") == 0
    first, second = values(desk)
    assert first == {
        "id": 1,
        "amount": Decimal("1.1"),
        "wide": Decimal("0.12345678901234567"),
        "at": datetime.datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        "local": datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000),
        "day": datetime.date(1970, 1, 1),
        "tags": ["a", "b"],
        "of": {"x": 1, "y": [1.5]},
        "raw": b"\x00\xff",
        "single": 0.10000000149011612,
        "_overflow": None,
    }
    assert second["_overflow"] == {
        "at": "1970-01-01T00:00:00.000001001+00:00",
        "day": "10000000 days since 1970-01-01",
    }
    assert desk.summary["overflowed_by"] == {"at": 1, "day": 1}


def test_json_lines_become_what_documents_of_the_same_fields_would(desk, tmp_path):
    lines = [
        {"id": "a", "n": 1, "f": 1, "mixed": 1, "list": [1, 2], "map": {"a": [1]}, "none": None, "custom_id": "x"},
        {"id": "b", "n": 2**63, "f": 1.5, "mixed": "1", "list": [], "map": {}, "none": None, "response": {"body": {}}},
    ]
    packed = gzip.compress("\n".join(map(json.dumps, lines)).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    assert desk.export(f"--source={tmp_path}/*.gz", "--key=id") == 0
    assert types(desk) | {"n": "INTEGER", "f": "FLOAT", "mixed": "JSON", "list": "INTEGER", "map": "JSON"} == types(
        desk
    )
    first, second = values(desk)
    assert (first["n"], first["f"], first["mixed"], first["list"], first["map"]) == (1, 1.0, 1, [1, 2], {"a": [1]})
    assert (second["n"], second["mixed"], second["_overflow"]) == (None, "1", {"n": 2**63})


def test_files_without_a_key_are_appended_or_replace_the_table(desk, tmp_path):
    (tmp_path / "a.csv").write_text("n,text\n1,x\n1,x\n")
    assert desk.export(f"--source={tmp_path}/*.csv", "--write=append") == 0
    assert [row["n"] for row in values(desk)] == [1, 1]
    (tmp_path / "b.csv").write_text("n,text\n2,y\n")
    assert desk.export(f"--source={tmp_path}/b.csv", "--write=replace") == 0
    assert [row["n"] for row in values(desk, "")] == [2]


def test_an_incremental_run_reads_only_files_that_are_new(desk, tmp_path):
    (tmp_path / "a.csv").write_text("id,n\n1,10\n2,20\n")
    flags = (f"--source={tmp_path}/*.csv", "--key=id", "--mode=incremental")
    assert desk.export(*flags) == 0
    assert desk.counts() == (2, 2, 0)
    assert desk.export(*flags) == 0
    assert (desk.counts(), desk.summary["results"]["files_read"]) == ((0, 0, 0), 0)
    (tmp_path / "b.csv").write_text("id,n\n2,21\n3,n/a\n")
    assert desk.export(*flags) == 0
    assert desk.counts() == (2, 2, 0)
    assert [(row["id"], row["n"], row["_overflow"]) for row in values(desk)] == [
        (1, 10, None),
        (2, 21, None),
        (3, None, {"n": "n/a"}),
    ]


def test_files_of_s3_and_azure_are_read_alike(desk, bucket: Bucket, container: Container):
    for folder in (bucket, container):
        for n in range(10):  # small files share batches
            folder.put(f"{n}.csv", f"id,of\n{folder.name}-{n},{n}\n".encode())
        assert desk.export(f"--source={folder.path}/*.csv", "--key=id") == 0
        assert (desk.counts(), desk.summary["batches"]) == ((10, 10, 0), 1)
    assert len(values(desk)) == 20


def test_a_row_without_a_key_is_a_dead_letter_and_a_key_twice_merges_nothing(desk, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("id,n\n1,10\n,20\n")
    assert desk.export(f"--source={tmp_path}/*.csv", "--key=id") == 4
    assert [row["n"] for row in values(desk)] == [10]
    (tmp_path / "b.csv").write_text("id,n\n7,10\n7,20\n")
    once = "--max_request_attempts=1"  # rows that are shown late are waited for
    assert desk.export(f"--source={tmp_path}/b.csv", "--key=id", once) == 1
    assert "names 1 rows instead of 2; nothing was merged" in capsys.readouterr().err
    assert [row["n"] for row in values(desk)] == [10]


def test_an_interrupted_run_passes_over_what_is_done(desk, tmp_path):
    (tmp_path / "a.csv").write_text("id,n\n" + "".join(f"{n},{n}\n" for n in range(50)))
    flags = (f"--source={tmp_path}/*.csv", "--key=id", "--batch_size=10")
    assert desk.export_refused(b"has_overflow", *flags, passed=3) != 0
    assert values(desk) == []
    assert desk.export(*flags) == 0
    assert (desk.counts(), len(values(desk))) == ((50, 50, 0), 50)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--write=merge needs to know what identifies a row of the files: pass --key=COLUMN"),
        (("--key=idd",), "has no column idd; is it id?"),
        (("--key=id", "--where=a > 1"), "--where is not for files"),
        (("--key=id", "--cursor_field=n"), "--cursor_field is not for files"),
        (("--write=replace", "--mode=incremental"), "--mode=incremental reads only new files"),
        (("--key=id", "--deletes=mark"), "--deletes is not for files"),
    ],
)
def test_bad_input_is_one_line(desk, tmp_path, capsys, flags, message):
    (tmp_path / "a.csv").write_text("id,n\n1,10\n")
    assert desk.export(f"--source={tmp_path}/*.csv", *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://host/a.csv", "--source must be a table"),
        ("nowhere/*.csv", "--source nowhere/*.csv matches no file"),
        ("s3://no-such-bucket-here/a.csv", "--source: there is no bucket no-such-bucket-here"),
    ],
)
def test_a_source_that_is_not_there_is_one_line(desk, bucket, capsys, source, message):
    assert desk.export(f"--source={source}", "--key=id") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_files_that_disagree_are_one_line(desk, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("id,n\n1,10\n")
    (tmp_path / "b.json").write_text('[{"id": 1}]')
    assert desk.export(f"--source={tmp_path}/*", "--key=id") == 2
    assert "--source names files of several formats" in capsys.readouterr().err
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"id": [1]}), tmp_path / "2.parquet")
    assert desk.export(f"--source={tmp_path}/*.parquet", "--key=id") == 2
    assert "column 'id' is string in" in capsys.readouterr().err


def test_a_collection_may_be_named_as_a_source(desk):
    desk.store({"users/ada": {"n": 1}})
    assert desk.export("--source=firestore://users") == 0
    assert [row["n"] for row in desk.rows()] == [1]


@pytest.mark.parametrize(
    ("content", "exit_code", "code"),
    [
        (b"id,a\n", 0, None),
        ("id,a\n1,x\n".encode("utf-16"), 4, "UNREADABLE_FILE"),
        (b"id,a\n1,\0x\n", 4, "UNREADABLE_FILE"),
        (b"PAR1 cut", 4, "UNREADABLE_FILE"),
        (b"id,a,a\n1,2,3\n", 4, "INVALID_CSV_HEADER"),
    ],
    ids=["header", "utf-16", "nul", "parquet", "twice"],
)
def test_a_file_without_a_record_says_itself_what_is_wrong(desk, tmp_path, content, exit_code, code):
    (tmp_path / "a.csv").write_bytes(content)
    assert desk.export(f"--source={tmp_path}/a.csv", "--key=id") == exit_code
    files = (tmp_path / "dead_letters").glob("*/*.jsonl")
    assert {json.loads(line)["code"] for file in files for line in file.open()} == ({code} if code else set())
