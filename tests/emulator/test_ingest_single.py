"""ingest with a spec of one collection, from files to Firestore, BigQuery and back, on the real emulators."""

import json

from pipeline.__main__ import main
from tests.support.documents import read_collection
from tests.support.ingest import ingest


def attempt(n, **more):
    return {"id": f"a-{n:03}", "student_id": f"s-{n % 7}", "score": n / 2, "timestamp": "2026-01-01T00:00:00Z", **more}


def test_attempts_land_in_one_collection_with_rows_once_and_a_dead_letter_is_replayed(tmp_path, target, table, capsys):
    source, collection = tmp_path / "attempts.jsonl", table.name
    values = [attempt(n) for n in range(30)]
    values[3]["matrix"] = [[1]]
    source.write_text("".join(json.dumps(value) + "\n" for value in values))
    flags = [f"--input={source}", "--spec=student_attempts", "--batch_size=10", f"--bigquery_table={collection}"]

    first, second = ingest(tmp_path, target, *flags), ingest(tmp_path, target, *flags)
    assert (first.exit_code, first.summary["written"], second.summary["written"]) == (0, 29, 0)
    documents = read_collection(target, "student_attempts")
    assert documents["a-004"].items() >= attempt(4).items()
    assert documents.keys() == {value["id"] for value in values} - {"a-003"}

    stores = [
        "--left=firestore://student_attempts",
        f"--right=bigquery:{collection}_latest",
    ]
    own = [f"--project={target.project}", f"--dead_letters={tmp_path / 'verify'}"]
    assert main(["verify", *own, *stores]) == 0, capsys.readouterr()

    for file in (tmp_path / "dead_letters").glob("*/*.jsonl"):
        file.write_text(file.read_text().replace("[[1]]", "[1]"))
    replay = ["replay", f"--project={target.project}", f"--dead_letters={tmp_path / 'dead_letters'}", "--kind=all"]
    assert main(replay) == 0
    assert read_collection(target, "student_attempts")["a-003"]["matrix"] == [1]
