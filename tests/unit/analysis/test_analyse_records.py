"""A model is asked about each record once, at a known price, whatever fails or is killed on the way."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_chat import FakeChat, KilledError
from transforms.analysis.cache import COLLECTION
from transforms.analysis.estimate import estimate
from transforms.analysis.modes import STORE
from transforms.analysis.payload import Question
from transforms.analysis.steps import AnalysisPlan, _AskFn
from transforms.batch import Batch, Record
from transforms.errors import JobError
from transforms.ledger.entry import LedgerEntry
from transforms.records.spec import load_spec
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore

SPEC = load_spec(
    """
name: people
schema_version: 1
full_collection: people_full
flat_collection: people
key: {name: person_id, from: id}
fields:
  name: {type: string, from: name}
  level: {type: string, from: analysis.level, required: true}
  age: {type: integer, from: age, max: 120}
analysis:
  into: analysis
  fields: {title: job.title, about: about}
  instructions: Say how senior the person is.
  schema:
    type: object
    additionalProperties: false
    required: [level]
    properties:
      level: {type: string}
  max_output_tokens: 100
  prices:
    openai/m: {input: 1, cached_input: 0.5, output: 4}
""",
    "people.yaml",
)
COST = 60 * 1_000_000 + 40 * 500_000 + 10 * 4_000_000


@pytest.fixture
def server():
    with ScriptedFirestore() as server:
        yield server


def plan_of(chat, **more):
    return AnalysisPlan(Question(SPEC.analysis, "openai/m"), chat.connect, concurrency=4, **more)


def batch_of(values, name="0-0-0"):
    return Batch(name, "in.jsonl", len(values), tuple(Record(n, value) for n, value in enumerate(values)))


def person(n, **more):
    return {"id": f"p{n}", "job": {"title": f"senior engineer {n}"}, **more}


def payload(n):
    return json.dumps({"title": f"senior engineer {n}"}, separators=(",", ":"))


def run(server, chat, values, plan=None, **more):
    """The batch behind the step, in a process of its own."""
    fn = _AskFn(plan or plan_of(chat, **more), SPEC, LedgerEntry(server.target, "ingest-1", 1, Retry(2, 0, 0)))
    fn.setup()
    try:
        batch = replace(batch_of(values), flush=True)
        (done,) = fn.process(batch, _Windowed(batch))
        return done.value
    finally:
        fn.teardown()


class _Windowed:
    def __init__(self, value):
        self.value = value

    def with_value(self, value):
        return _Windowed(value)


def stored(server):
    return {path for path in server.documents if path.startswith(COLLECTION)}


def test_the_answer_becomes_a_field_of_the_record_and_is_paid_for_once(server):
    chat = FakeChat()
    values = [person(n) for n in range(6)]
    done = run(server, chat, values)
    assert [each.value["analysis"] for each in done.entries] == [{"level": "senior"}] * 6
    assert (done.counts["analyses_asked"], done.counts["analysis_input_tokens"]) == (6, 600)
    assert (done.counts["analysis_cached_tokens"], done.counts["analysis_output_tokens"]) == (240, 60)
    assert done.counts["analysis_cost"] == 6 * COST
    again = run(server, chat, values)
    assert [each.value for each in again.entries] == [each.value for each in done.entries]
    assert again.counts == {"analyses_cached": 6}
    assert set(chat.paid.values()) == {1}
    assert (chat.opened, chat.closed) == (1, 1)
    assert len(stored(server)) == 6


def test_the_same_question_of_several_records_is_asked_once(server):
    chat = FakeChat()
    done = run(server, chat, [{**person(1), "id": f"p{n}"} for n in range(5)])
    assert [each.value["analysis"]["level"] for each in done.entries] == ["senior"] * 5
    assert chat.paid == {payload(1): 1}


def test_the_first_call_goes_alone_and_the_others_overlap_up_to_the_limit(server):
    chat = FakeChat()
    run(server, chat, [person(n) for n in range(12)])
    assert chat.most_at_once == 4


def test_nothing_is_asked_about_a_record_that_is_refused_anyway_or_has_nothing_to_send(server):
    chat = FakeChat()
    values = [{"job": {"title": "x"}}, person(1, age=200), person(2, large=2**70), {"id": "p3"}, person(4)]
    done = run(server, chat, values)
    assert [payload for payload, _ in chat.paid.items()] == [payload(4)]
    assert len(done.entries) == 5


class BrokenFor(Question):
    """A mistake in the code, which one record meets."""

    def payload_of(self, record):
        if record["id"] == "p1":
            raise ValueError(record["id"])
        return super().payload_of(record)


def test_an_error_that_nobody_expected_is_the_dead_letter_of_its_record(server):
    plan = replace(plan_of(FakeChat()), question=BrokenFor(SPEC.analysis, "openai/m"))
    done = run(server, FakeChat(), [person(n) for n in range(3)], plan=plan)
    (dead,) = done.dead_letters
    assert (dead.step, dead.code) == ("AnalyseRecords", "UNEXPECTED_ERROR")
    assert len(done.entries) == 2


def test_only_the_fields_of_the_spec_are_sent_and_masked(server):
    chat = FakeChat()
    about = "ada@example.com, +44 20 7946 0958, https://ada.example/cv, 2019 - 2023"
    run(server, chat, [{"id": "p", "about": about, "secret": "x", "job": {"title": "cook", "pay": 1}}])
    assert json.loads(chat.order[0]) == {"title": "cook", "about": "[email], [phone], [url], 2019 - 2023"}


@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        ("overloaded", "overloaded", True),
        ("INVALID", "INVALID", False),
        ("broken", "MODEL_ANSWER_CUT_OFF", False),
        ("several", "SEVERAL_ANSWERS", False),
        ("wrong", "ANSWER_BREAKS_SCHEMA", False),
        ("cut off", "OPENAI_LENGTH", False),
    ],
)
def test_a_question_without_a_good_answer_is_a_dead_letter_with_a_code(server, kind, code, retryable):
    chat = FakeChat({payload(1): [kind]})
    done = run(server, chat, [person(0), person(1), person(2)])
    (dead,) = done.dead_letters
    assert (dead.step, dead.code, dead.retryable) == ("AnalyseRecords", code, retryable)
    assert "engineer" not in dead.message
    assert len(done.entries) == 2
    assert done.counts["analyses_asked"] == (2 if kind in ("overloaded", "INVALID") else 3)


def test_a_model_that_refuses_every_question_alike_stops_the_job(server):
    chat = FakeChat({payload(n): ["UNKNOWN_MODEL"] for n in range(20)})
    with pytest.raises(JobError, match="openai/m refuses every question with UNKNOWN_MODEL"):
        run(server, chat, [person(n) for n in range(20)])


def test_if_asked_to_a_record_without_an_answer_is_stored_marked_and_asked_about_again(server):
    chat = FakeChat({payload(1): ["overloaded"]})
    values = [person(0), person(1)]
    done = run(server, chat, values, failed=STORE)
    assert done.entries[1].value == {**person(1), "analysis_failed": "overloaded"}
    again = run(server, chat, values, failed=STORE)
    assert again.entries[1].value == {**person(1), "analysis": {"level": "senior"}}


def test_near_json_is_read_and_counted(server):
    done = run(server, FakeChat({payload(0): ["near"]}), [person(0)])
    assert done.entries[0].value["analysis"] == {"level": "junior"}
    assert done.counts["analyses_repaired"] == 1


def test_a_wrong_key_stops_the_job_and_keeps_the_answers(server):
    chat = FakeChat({payload(3): ["no key"]})
    with pytest.raises(JobError, match="refuses the key"):
        run(server, chat, [person(n) for n in range(4)])
    assert len(stored(server)) >= 1


def test_the_limit_is_never_passed_not_even_by_calls_in_flight(server):
    chat = FakeChat()
    bound = 100 * 4_000_000 + 1_000_000 * 600  # at most
    with pytest.raises(JobError, match="would pass --max_spend_usd"):
        run(server, chat, [person(n) for n in range(40)], limit=bound + 10 * COST)
    assert 1 <= sum(chat.paid.values()) * COST <= bound + 10 * COST
    with pytest.raises(JobError, match="would pass"):
        run(server, FakeChat(), [person(99)], limit=bound, spent=bound)


def test_an_answer_that_somebody_else_stored_first_is_used(server):
    chat, other = FakeChat(), FakeChat()
    run(server, other, [person(1)])
    (path,) = stored(server)
    before = server.documents[path].fields
    done = run(server, chat, [person(1)])
    assert server.documents[path].fields == before
    assert done.counts == {"analyses_cached": 1}


def test_without_a_cache_nothing_is_stored(server):
    run(server, FakeChat(), [person(1)], cache_days=0)
    assert stored(server) == set()


def test_an_estimate_sends_and_writes_nothing_and_learns_from_stored_answers(server):
    chat = FakeChat()
    question = Question(SPEC.analysis, "openai/m")
    batches = [batch_of([person(n) for n in range(10)] + [{"id": "x"}])]
    by_length = estimate(batches, SPEC, question, lambda hashes: {})
    assert (by_length.records, by_length.not_asked, by_length.questions, by_length.stored) == (11, 1, 10, 0)
    assert by_length.counted_by.startswith("by length")
    run(server, chat, [person(n) for n in range(6)])
    from transforms.analysis.cache import AnswerCache

    n_documents = len(server.documents)
    cache = AnswerCache(server.target.connect(), 90, "", Retry())
    measured = estimate(batches, SPEC, question, cache.read)
    assert (measured.questions, measured.stored) == (10, 6)
    assert measured.input_tokens == pytest.approx(400, rel=0.15)
    assert measured.output_tokens == 40
    assert measured.cost > 0
    assert len(server.documents) == n_documents


KINDS = st.lists(st.sampled_from(["overloaded", "INVALID", "broken", "wrong", "several", "cut off"]), max_size=1)


@settings(max_examples=40)
@given(failures=st.dictionaries(st.integers(0, 7), KINDS, max_size=6), kills=st.lists(st.integers(1, 8), max_size=3))
def test_every_record_is_stored_or_dead_and_no_question_is_paid_twice_but_those_in_flight(failures, kills):
    values = [person(n) for n in range(8)]
    with ScriptedFirestore() as server:
        chat = FakeChat({payload(n): list(kinds) for n, kinds in failures.items()})
        for kill in kills:
            chat.kill_at = len(chat.order) + kill
            try:
                run(server, chat, values)
            except KilledError:
                continue
        chat.kill_at = None
        done = run(server, chat, values)
        assert len(done.entries) + len(done.dead_letters) == len(values)
        good = {each.value["id"] for each in done.entries}
        assert all(each.value["analysis"] == {"level": "senior"} for each in done.entries)
        if not kills:
            assert good == {f"p{n}" for n in range(8) if not failures.get(n)}
        useless = sum(len(kinds) for kinds in failures.values())
        in_flight = 4 * len(kills)
        assert sum(chat.paid.values()) <= len(values) + useless + in_flight


def test_another_question_has_another_name():
    question = Question(SPEC.analysis, "openai/m")
    others = [
        replace(question, model="openai/n"),
        replace(question, address="http://localhost"),
        *(
            replace(question, analysis=replace(SPEC.analysis, **change))
            for change in (
                {"instructions": "?"},
                {"schema": "{}"},
                {"max_output_tokens": 7},
            )
        ),
    ]
    names = {each.hash_of("{}") for each in (question, *others)}
    assert len(names) == len(others) + 1
    assert question.hash_of("{}") == question.hash_of("{}") != question.hash_of("[]")
