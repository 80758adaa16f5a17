"""Files exported into BigQuery: `kill -9` at ten moments, and again, and resumed; then only the file that is new."""

import json

import pytest

from tests.support.killed_export import kill_export

pytestmark = [pytest.mark.emulator, pytest.mark.soak]


@pytest.mark.parametrize("ordinal", range(1, 21, 2))
def test_every_row_is_exported_once_whenever_the_run_is_killed(desk, tmp_path, ordinal):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(5):
        _write(folder / f"{number}.jsonl", range(number * 80, number * 80 + 80))
    # By a key every other time; else by the place in the file, each row as often as it was sent.
    of_rows = ("--key=id",) if ordinal % 4 == 1 else ("--write=append",)
    flags = (*of_rows, "--batch_size=20", "--mode=incremental")
    source = f"{folder}/*.jsonl"
    kill_export(desk, source, ordinal, *flags)
    kill_export(desk, source, 4, *flags, "--take_over")
    assert desk.export(f"--source={source}", "--take_over", *flags) == 0
    assert _ids(desk) == list(range(400))
    _write(folder / "new.jsonl", range(400, 410))
    assert desk.export(f"--source={source}", *flags) == 0
    assert desk.counts() == (10, 10, 0)
    assert _ids(desk) == list(range(410))


def _write(file, ids):
    file.write_text("".join(json.dumps({"id": n, "n": n * n}) + "\n" for n in ids))


def _ids(desk):
    rows = desk.rows("_latest", order="id")
    assert all(row["n"] == row["id"] ** 2 for row in rows)
    return [row["id"] for row in rows]
