"""What models answered, from a batch's lines into documents, and again out of dead letters, on the real emulators."""

import json

import pytest

from tests.support.ingest import ingest, profile
from tests.support.replay_desk import Desk, nameless

pytestmark = pytest.mark.emulator


@pytest.fixture
def desk(tmp_path, target):
    return Desk(tmp_path, target)


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def chat(text, **fields):
    """A line of a model batch, with fields of the user's own."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"response": {"status_code": 200, "body": {"choices": [choice]}}, "error": None, **fields}


def test_a_model_s_answer_is_stored_as_it_is_under_the_id_of_its_request(tmp_path, target):
    own = {"candidate_id": "12345", "name": " Ada ", "skills": ["😀", 'say "hi"']}
    near_json = json.dumps(own)[:-1] + ",}"
    source = tmp_path / "results.jsonl"
    source.write_text(
        lines(
            chat(json.dumps(own), custom_id="c1"),
            chat(f"<think>{json.dumps({**own, 'name': 'Draft'})}</think>{near_json}", custom_id="c2"),
            chat(json.dumps(own), candidate_id="cand-1", url="http://x", tags=["a"], note=None),
            chat(json.dumps([own, {"name": "Bob"}]), custom_id="c4"),
        )
    )
    run = ingest(tmp_path, target, f"--input={source}")
    assert (run.exit_code, run.full.keys()) == (0, {"c1", "c2", "cand-1", "12345", "c4-2"})
    full = run.full
    told = {key: document.pop("_meta") for key, document in full.items()}
    assert [full[key] for key in ("c1", "c2", "cand-1", "12345")] == [own] * 4
    assert {key: meta["repairs"] for key, meta in told.items() if "repairs" in meta} == {"c2": ["trailing_commas"]}
    assert told["cand-1"]["source_fields"] == {"candidate_id": "cand-1", "url": "http://x"}
    counted = ("read", "written", "answers_repaired", "ids_differing", "source_fields_dropped")
    assert [run.summary[name] for name in counted] == [5, 5, 1, 3, 1]

    again = ingest(tmp_path, target, f"--input={source}")
    assert (again.summary["unchanged"], again.summary["written"]) == (5, 0)


def test_with_key_record_the_answer_s_own_id_comes_first(tmp_path, target):
    source = tmp_path / "results.jsonl"
    source.write_text(lines(chat('{"candidate_id": "12345"}', custom_id="c1"), chat('{"name": "x"}', custom_id="c2")))
    run = ingest(tmp_path, target, f"--input={source}", "--key=record")
    assert (run.full.keys(), run.summary.get("ids_differing")) == ({"12345", "c2"}, None)


def test_one_of_several_records_of_an_answer_is_replayed_alone(desk):
    strict = desk.spec("  name:\n    type: string\n", "  name:\n    type: string\n    required: true\n", "strict.yaml")
    people = [profile(0, candidate_id=None), nameless(1, candidate_id=None), nameless(2, candidate_id="own")]
    choice = {"message": {"content": json.dumps({"people": people})}, "finish_reason": "stop"}
    answer = {"custom_id": "p", "response": {"status_code": 200, "body": {"choices": [choice]}}}
    first = desk.ingest(answer, flags=[strict, "--records_path=people", "--input_format=jsonl"])
    assert [(line["answer"]["part"], line["line"]) for line in desk.lines("permanent")] == [(2, 1), (3, 1)]
    assert first.summary["written"] == 1

    assert desk.replay("--spec=profiles") == (0, (2, 2, 0, 0, 0))
    assert desk.flat.keys() == {"p-1", "p-2", "own"}
    assert desk.replay("--spec=profiles")[1][0] == 0


def test_a_replayed_record_does_not_replace_a_later_one_of_its_answer(desk):
    strict = desk.spec("  name:\n    type: string\n", "  name:\n    type: string\n    required: true\n", "strict.yaml")
    people = [nameless(0, candidate_id="ada"), profile(1, candidate_id="ada"), nameless(2, candidate_id="bob")]
    choice = {"message": {"content": json.dumps(people)}, "finish_reason": "stop"}
    desk.ingest({"custom_id": "p", "response": {"status_code": 200, "body": {"choices": [choice]}}}, flags=[strict])
    before = desk.full["ada"]
    assert (before["name"], before["_meta"]["position"], before["_meta"]["part"]) == (people[1]["name"], 0, 2)

    # Superseded: the record with part 1. Bob's is stored.
    assert desk.replay("--spec=profiles") == (0, (2, 1, 0, 1, 0))
    assert desk.full["ada"] == before
    assert desk.full["bob"]["_meta"]["part"] == 3


def test_what_was_not_repaired_is_replayed_with_more_repair(desk):
    choice = {"message": {"content": '[{"name": "Ada" "skills": ["x"]}, {"name": "Bob"}]'}, "finish_reason": "stop"}
    desk.ingest({"custom_id": "p", "response": {"status_code": 200, "body": {"choices": [choice]}}})
    assert [line["code"] for line in desk.lines("permanent")] == ["MODEL_ANSWER_NOT_JSON"]
    assert desk.replay("--repair=aggressive") == (0, (2, 2, 0, 0, 0))
    assert desk.places() == {"replayed": 1}
    assert desk.full["p-1"]["_meta"]["repairs"] == ["json_repair"]
