import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that

from transforms.batch import Batch, Record
from transforms.errors import UsageError
from transforms.inputs.files import match_inputs
from transforms.inputs.options import ReadOptions
from transforms.inputs.read import ReadBatches

_PROFILES = Path(__file__).parents[4] / "shared" / "data" / "profiles_llm.jsonl"


def _check(pattern: str, check: Callable[[list[Batch[Record]]], None], **options: Any) -> None:
    def matcher(batches: Iterable[Batch[Record]]) -> None:
        check(sorted(batches, key=lambda batch: batch.batch_id))

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        assert_that(pipeline | ReadBatches(match_inputs([pattern]), ReadOptions(**options)), matcher)


def test_files_of_every_format_arrive_in_batches_each_record_once(tmp_path: Path) -> None:
    rows = [{"id": str(n)} for n in range(40)]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "c.json").write_bytes(json.dumps(rows).encode())
    (tmp_path / "d.csv").write_bytes(b"id,name\n" + b"".join(b"%d,Ada\n" % n for n in range(40)))
    (tmp_path / "e.jsonl").write_bytes(b"")
    (tmp_path / "f.jsonl").write_bytes(b'42\n{"id": "x"}\n')

    def check(batches: list[Batch[Record]]) -> None:
        by_source: dict[str, list[str]] = {}
        for batch in batches:
            assert batch.read <= 15
            by_source.setdefault(Path(batch.source).name, []).extend(record.value["id"] for record in batch.entries)
        expected = sorted(row["id"] for row in rows)
        assert {name: sorted(ids) for name, ids in by_source.items()} == {
            **dict.fromkeys(("a.jsonl", "b.jsonl.gz", "c.json", "d.csv"), expected),
            "f.jsonl": ["x"],
        }
        assert [letter.code for batch in batches for letter in batch.dead_letters] == ["NOT_AN_OBJECT"]
        assert len({batch.batch_id for batch in batches}) == len(batches)

    _check(f"{tmp_path}/*", check, batch_size=15, slice_bytes=100)


def test_provider_results_are_unwrapped_and_their_errors_are_dead_letters(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": [{"type": "text", "text": '{"name": "Ada"}'}], "stop_reason": "end_turn"}
    results = [
        {"custom_id": "p1", "result": {"type": "succeeded", "message": message}},
        {"custom_id": "p2", "result": {"type": "expired"}},
        {"custom_id": "p3", "name": "a record like any other"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(result) + "\n" for result in results))

    def check(batches: list[Batch[Record]]) -> None:
        (batch,) = batches
        assert [(record.fallback_id, record.value.get("name")) for record in batch.entries] == [
            ("p1", "Ada"),
            (None, "a record like any other"),
        ]
        (letter,) = batch.dead_letters
        assert (letter.code, letter.retryable, letter.line) == ("ANTHROPIC_EXPIRED", False, 2)
        assert json.loads(letter.original or b"") == results[1]  # type: ignore[arg-type]

    _check(f"{tmp_path}/a.jsonl", check)


def test_a_file_that_vanishes_before_it_is_read_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    files = match_inputs([f"{tmp_path}/a.jsonl"])
    (tmp_path / "a.jsonl").unlink()
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | ReadBatches(files)
    with pytest.raises(Exception, match=r"cannot open input .*a\.jsonl, which was there when the job started"):
        pipeline.run()


def test_an_option_out_of_its_bounds_is_refused_when_the_graph_is_built() -> None:
    with pytest.raises(UsageError, match="batch_size must be at least 1, got 0"):
        ReadBatches([], ReadOptions(batch_size=0))


def test_the_real_profiles_are_all_read_as_they_are() -> None:
    if not _PROFILES.exists():
        pytest.skip("needs shared/data/profiles_llm.jsonl beside the checkout")
    expected = [json.loads(line) for line in _PROFILES.read_bytes().splitlines()]

    def check(batches: list[Batch[Record]]) -> None:
        assert [record.value for batch in batches for record in batch.entries] == expected
        assert not [letter for batch in batches for letter in batch.dead_letters]

    _check(str(_PROFILES), check, batch_size=50, slice_bytes=100_000)
