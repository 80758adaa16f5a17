"""A table of PostgreSQL beside what export made of it, and beside another table: a real server and the emulators."""

import random

import pytest

from tests.support.verified import verify
from transforms.firestore.ranges import NameRange, ranges_between
from transforms.verify.database_tables import row_store
from transforms.verify.ignored import Ignored

pytestmark = pytest.mark.emulator

# A value at the limit of each type, and another one. (The emulator rounds BIGNUMERIC beyond 20 and 18 digits.)
LIMITS = {
    "int8": ("9223372036854775807", "-9223372036854775808"),
    "numeric(38,9)": ("99999999999999999999999999999.999999999", "0.1"),
    "numeric": ("'NaN'", "'12345678901234567890.123456789012345678'"),
    "float8": ("'-Infinity'", "4.9e-324"),
    "real": ("3.4028235e38", "0.1"),
    "boolean": ("true", "false"),
    "date": ("'0044-03-15 BC'", "'9999-12-31'"),
    "timestamp": ("'infinity'", "'0001-01-01 00:00:00.000001'"),
    "timestamptz": ("'9999-12-31 23:59:59.999999+00'", "'-infinity'"),
    "time": ("'24:00:00'", "'23:59:59.999999'"),
    "bytea": (r"'\x00ff'", r"'\x'"),
    "jsonb": ("""'{"a": [1.5, null, "Zoë"], "b": {}}'""", """'{"a": 1e400}'"""),
    "text": ("'\U0001f600 \u0301 \t\n\\'", "''"),
    "int[]": ("'{1,2}'", "'{1,NULL}'"),
    "numeric(5,2)[]": ("'{1.50,-2}'", "'{}'"),
    "date[]": ("'{2026-01-31}'", "'{infinity}'"),
    "interval": ("'1 year 2 months 3 days'", "'0'"),
    "uuid": ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "NULL"),
}


@pytest.fixture
def table(desk):
    """What export has made, as a flag names it."""
    return f"bigquery:{desk.bigquery.project}:local.{desk.table}"


def test_every_type_at_its_limits_is_equal_after_an_export_and_every_changed_cell_is_found(
    desk, database, table, tmp_path
):
    columns = [f"c{n} {declared}" for n, declared in enumerate(LIMITS)]
    database.execute(
        f"CREATE TABLE limits (id int PRIMARY KEY, {', '.join(columns)})",
        *(
            f"INSERT INTO limits VALUES ({row}, {', '.join(values[which] for values in LIMITS.values())})"
            for row, which in enumerate((0, 1))
        ),
        "INSERT INTO limits (id) VALUES (2)",
    )
    assert desk.export(f"--source={database.location('limits')}") == 0
    source = database.location("limits")
    found = verify(tmp_path, desk.database, source, table)
    assert (found.exit_code, found.counts) == (0, (3, 3, 0, 0))
    changed = [f"c{n} = {values[1]}" for n, values in enumerate(LIMITS.values())]
    database.execute(
        f"UPDATE limits SET {', '.join(changed)} WHERE id = 0",
        "DELETE FROM limits WHERE id = 2",
        "INSERT INTO limits (id) VALUES (-3)",
    )
    found = verify(tmp_path, desk.database, table, source, "--show_values")
    assert found.exit_code == 3
    assert found.kinds == {"0": "DIFFERENT", "2": "MISSING_RIGHT", "-3": "MISSING_LEFT"}
    (of_0,) = (each for each in found.differences if each["key"] == "0")
    differing = {path.removeprefix("__overflow__.").partition(".")[0] for path in of_0["fields"]}
    assert differing == {f"c{n}" for n in range(len(LIMITS))}
    ignored = ",".join(f"c{n}" for n in range(1, len(LIMITS)))
    found = verify(tmp_path, desk.database, table, source, f"--ignore={ignored}")
    assert next(each["fields"] for each in found.differences if each["key"] == "0") == ["c0"]


def test_rows_that_were_exported_again_or_marked_as_deleted_count_as_the_latest_view_has_them(
    desk, database, table, tmp_path
):
    database.execute("CREATE TABLE orders (a text, b int, n int, PRIMARY KEY (a, b))")
    database.execute("INSERT INTO orders SELECT 'it''s', n, n FROM generate_series(1, 20) n")
    source = database.location("orders")
    assert desk.export(f"--source={source}", "--deletes=mark") == 0
    database.execute("DELETE FROM orders WHERE b = 7", "UPDATE orders SET n = 0 WHERE b = 8")
    assert verify(tmp_path, desk.database, source, table).kinds == {
        """["it's","7"]""": "MISSING_LEFT",
        """["it's","8"]""": "DIFFERENT",
    }
    assert desk.export(f"--source={source}", "--deletes=mark") == 0
    for compared in (table, f"{table}_latest"):
        assert verify(tmp_path, desk.database, source, compared).counts == (19, 19, 0, 0)


def test_two_tables_of_databases_are_compared(target, database, tmp_path, capsys):
    for name in ("old", "new"):
        database.execute(
            f"CREATE TABLE {name} (id numeric, x numeric)",
            f"INSERT INTO {name} SELECT n, n * 1.50 FROM generate_series(1, 3000) n",
        )
    old, new = database.location("old"), database.location("new")
    found = verify(tmp_path, target, old, new)
    assert found.exit_code == 2
    assert verify(tmp_path, target, old, new, "--key_column=id").counts == (3000, 3000, 0, 0)
    database.execute("UPDATE new SET x = x + 0.01 WHERE id = 2000", "UPDATE new SET id = 1.000 WHERE id = 1")
    found = verify(tmp_path, target, old, new, "--key_column=id", "--max_keys=50")
    assert found.kinds == {"2000": "DIFFERENT"}
    database.execute("UPDATE new SET id = NULL WHERE id = 5")
    assert verify(tmp_path, target, old, new, "--key_column=id").exit_code == 2
    assert "a row of public.new has no value in id" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        ("orders", "firestore://users", "rows of a database and documents of Firestore have no form in common"),
        ("orders", "jsonl:*.jsonl", "rows of a database and lines of JSON have no form in common"),
        ("orders", "orders", "name the same store"),
        ("orders", "wider", "orders cannot be compared: it has no column more. Export again, or pass --ignore=more"),
        ("orders", "other", "its column n is STRING, not INT64"),
        ("nowhere", "orders", "--left: there is no table public.nowhere"),
    ],
)
def test_what_has_no_form_in_common_is_refused_in_one_line(
    target, database, tmp_path, monkeypatch, capsys, left, right, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"id": "1"}\n')
    database.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, n int)",
        "CREATE TABLE wider (id int PRIMARY KEY, n int, more int)",
        "CREATE TABLE other (id int PRIMARY KEY, n text)",
    )
    places = [place if ":" in place else database.location(place) for place in (left, right)]
    assert verify(tmp_path, target, *places).exit_code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_table_of_bigquery_that_export_did_not_make_is_refused(desk, database, table, tmp_path, capsys):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    desk.store({"users/ada": {"n": 1}})
    assert desk.export() == 0
    assert verify(tmp_path, desk.database, database.location("orders"), table).exit_code == 2
    assert "was not made by export --source" in " ".join(capsys.readouterr().err.split())


def test_a_password_is_read_where_its_flag_says_and_is_nowhere_else(target, database, tmp_path, monkeypatch, capsys):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE copies (id int PRIMARY KEY)")
    monkeypatch.setenv("LEFT", "hunter2")
    places = database.location("orders"), database.location("copies")
    found = verify(tmp_path, target, *places, "--left_password=env:LEFT", "--right_password=env:NOWHERE")
    assert found.exit_code != 0
    assert verify(tmp_path, target, *places, "--left_password=env:LEFT").exit_code == 0
    assert verify(tmp_path, target, "firestore://a", "firestore://b", "--left_password=env:LEFT").exit_code == 2
    written = capsys.readouterr()
    texts = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert not any("hunter2" in text for text in (written.out, written.err, *texts))


KEYS = {
    "bigint": ("n - 500", "id"),
    "text": ("chr(33 + n % 90) || n || '/' || chr(n % 2000 + 256)", "id"),
    "char(12)": ("n::text", "id"),
    "uuid": ("md5(n::text)::uuid", "id"),
    "numeric": ("n * 1.50", "id"),
    "date": ("'2026-01-01'::date + n", "id"),
}


@pytest.mark.parametrize("declared", KEYS)
@pytest.mark.parametrize("is_composite", [False, True], ids=["alone", "composite"])
def test_every_range_of_keys_has_its_rows_and_every_row_is_found_by_its_key(database, declared, is_composite):
    value, _ = KEYS[declared]
    database.execute(
        f"CREATE TABLE t (id {declared}, b int DEFAULT 1, PRIMARY KEY (id{', b' if is_composite else ''}))",
        f"INSERT INTO t SELECT {value} FROM generate_series(1, 1200) n",
    )
    source = database.table("t")
    store = row_store(source, database.described("t"), None, Ignored())
    keys = {entry.key for entry in store.entries(NameRange())}
    assert len(keys) == 1200
    drawn = random.Random(7)
    cuts = [*drawn.sample(sorted(keys), 8), "__id7__", "5/x", "5!", "", "m\0"]
    parts = [[entry.key for entry in store.entries(span)] for span in ranges_between(cuts)]
    assert sum(map(len, parts)) == 1200
    assert {key for part in parts for key in part} == keys
    some = drawn.sample(sorted(keys), 50)
    refetched = [entry.key for entry in store.refetch([*some, "nobody", "", "7.0", '["x"]', "a\0b", "9" * 30])]
    assert sorted(refetched) == sorted(some)


def test_a_large_table_is_cut_where_its_index_is(database):
    database.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, filler text)",
        "INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 30000) n",
        "ANALYZE t",
    )
    store = row_store(database.table("t"), database.described("t"), None, Ignored())
    ranges = store.ranges(4)
    assert 2 <= len(ranges) <= 4
    sizes = [sum(1 for _ in store.entries(span)) for span in ranges]
    assert sum(sizes) == 30_000
    assert min(sizes) > 2_000
