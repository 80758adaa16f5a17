"""The steps that store and replay dead letters."""

import apache_beam as beam

from transforms.batch import Batch, DeadLetter, ModelAnswer
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.lines import Origin
from transforms.dead_letters.steps import StoreDeadLetters, batch_of, located
from transforms.inputs.files import match_inputs
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import plan_slices, read_slice


def dead_letter(code="INVALID_JSON", retryable=False, original=b"{", **more):
    return DeadLetter("ReadBatches", code, f"{code} in field x", original, retryable=retryable, **more)


def test_the_log_names_the_first_dead_letters_of_a_batch_and_never_what_they_hold(tmp_path, caplog):
    caplog.set_level("INFO", "transforms.dead_letters.steps")
    dead_letters = tuple(dead_letter("INVALID_ID", original="secret", record_id=f"r{n}") for n in range(22))
    batch = Batch("b-0", "in.jsonl", 22, (), dead_letters)
    with beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([batch]) | StoreDeadLetters(str(tmp_path), "ingest", "ingest-1")
    lines = [record.getMessage() for record in caplog.records if record.name == "transforms.dead_letters.steps"]
    assert lines[0] == "job ingest-1, batch b-0, record r0: ReadBatches INVALID_ID"
    assert lines[20:] == ["job ingest-1, batch b-0: 2 further dead letters"]
    assert "secret" not in caplog.text


def test_a_record_whose_line_is_not_known_is_located_by_its_byte(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'{"a": 1}\n{"b": 2}\n{broken\n')
    dead_letters = [
        dead_letter(position=18),
        dead_letter(position=9, line=7),
        dead_letter(original={"c": 3}, position=2),
        dead_letter(),
        dead_letter(original={"d": 4}, position=9, answer=ModelAnswer(2)),
    ]
    assert [found.line for found in located(dead_letters, str(source))] == [3, 7, None, None, 2]


def test_dead_letters_of_a_csv_that_still_are_not_records_keep_their_reasons_and_places(tmp_path):
    source = tmp_path / "in.csv"
    source.write_bytes(b'id;name\n1;Ada\n2\n3;"\xff"\n4;B;o\n')
    (file,) = match_inputs([str(source)])
    (piece,) = plan_slices(file, ReadOptions())
    (batch,) = read_slice(piece, ReadOptions())
    folder = DeadLetterFolder(str(tmp_path))
    origin = Origin("ingest", "ingest-1", batch.batch_id, "2026-01-01T00:00:00.000000Z", batch.source)
    folder.store(origin, batch.dead_letters)
    again = batch_of(batch.batch_id, folder.read(batch.batch_id))
    assert (again.source, again.read, again.entries) == (batch.source, 3, ())
    assert [(found.code, found.message, found.position, found.line) for found in again.dead_letters] == [
        (stored.code, stored.message, stored.position, stored.line) for stored in batch.dead_letters
    ]
