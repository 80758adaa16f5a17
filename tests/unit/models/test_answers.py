"""Of what a model says exactly one value is the answer: the one that a marker names, or the only one there is."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import RecordError
from transforms.models.answers import Answer, answer_in

ADA, BOB = '{"name": "Ada"}', '{"name": "Bob", "skills": ["more", "of", "them"]}'
IS_ADA = Answer(({"name": "Ada"},))


def answer_of(*texts, repair="safe"):
    """The answer in one item of these blocks."""
    return answer_in([texts], repair)


def refused(*texts, repair="safe"):
    with pytest.raises(RecordError) as caught:
        answer_of(*texts, repair=repair)
    assert "secret" not in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    "text",
    [
        ADA,
        f"[{ADA}]",
        f"```json\n{ADA}\n```",
        f"```\n{ADA}```",
        f"````json\n{ADA}\n````",
        f"Here you are:\n```json\n{ADA}\n```\nAnything else?",
        f"Sure {{as asked}} [1]: {ADA} Hope that helps!",
        f"See [the profile](http://x) of {{n}}: {ADA}, and [2].",
        f"\ufeff {ADA}",
        f"{ADA} and again, in a fence:\n```json\n{ADA}\n```",
        f"Use {{}} for nothing and [] for none: {ADA}",
        f"```json\n{ADA}\nand no end of the fence",
    ],
)
def test_the_object_is_found_in_what_a_model_says_around_it(text):
    assert answer_of(text) == IS_ADA


@pytest.mark.parametrize(
    "text", ['{"name": "Ada",}', "{'name': 'Ada'}", '{name: "Ada"}', '```json\n{"name": "Ada",\n}\n```']
)
def test_near_json_is_repaired_wherever_it_stands(text):
    for around in ("{}", "Sure: {} Bye!", "<think>{{draft: 1}}</think>\n{}"):
        found = answer_of(around.format(text))
        assert (found.records, len(found.repairs)) == (IS_ADA.records, 1)


@pytest.mark.parametrize(
    "text",
    [
        f"<think>Draft: {BOB} … seven years.</think>\n{ADA}",
        f"<think>\n{{'name': 'Bob', broken</think>{ADA}",
        f"Draft: {BOB}\n</think>\n\n{ADA}",
        f"{BOB}\n</think>\n{ADA}",
        f'{{"name": "Bo… no, wait.\n</think>\n{ADA}',
        f"Let me see {{name: of [the person … </think>{ADA}",
        f"<THINK>{BOB}</THINK>{ADA}",
        f"<thinking>{BOB}</thinking>\n```json\n{ADA}\n```",
        f"<reasoning>{BOB}</reasoning>{ADA}",
        f"[THINK]{BOB}[/THINK]{ADA}",
        f"<think >{BOB}</think >{ADA}",
        f"<seed:think>{BOB}</seed:think>{ADA}",
        f'<think id="1">{BOB}</think\n>{ADA}',
        f"◁think▷{BOB}◁/think▷{ADA}",
        f"<|START_THINKING|>{BOB}<|END_THINKING|>{ADA}",
        f"<|channel|>analysis<|message|>{BOB}<|end|><|start|>assistant<|channel|>final<|message|>{ADA}",
        f"<think>{BOB}</think><think>and {BOB}</think>{ADA}",
        f"<think>outer <think>{BOB}</think> still {BOB} </think>{ADA}",
        f"{ADA}\n<think>was that right? {BOB}</think>",
        f"Draft: {BOB}\n<answer>{ADA}</answer>",
        f"<answer>{BOB}</answer> Wait, no. <answer>{ADA}</answer> as opposed to {BOB}",
        f"<final_answer>\n```json\n{ADA}\n```\n</final_answer>",
        "{ " * 200 + f"</think>{ADA}",
    ],
)
def test_what_stands_before_the_end_of_reasoning_or_outside_of_the_answer_is_not_the_answer(text):
    assert answer_of(text).records == IS_ADA.records


@pytest.mark.parametrize("around", ["{}", "Sure: {} Bye!", "```json\n{}\n```", "<think>{{'x': 1}}</think>{}"])
@pytest.mark.parametrize("end", ["}", ",}"])
def test_a_tag_or_a_fence_within_a_string_marks_nothing(around, end):
    for text in ("a </think> b", "<think> {x", '</think> {\\"b\\": 2}', "say ```pip install x``` now", "<answer>[1"):
        found = answer_of(around.format(f'{{"n": "{text}", "job": {{"title": "x"}}{end}'))
        assert found.records[0]["n"] == json.loads(f'"{text}"')


@pytest.mark.parametrize(
    "text",
    [
        f"{ADA}\n{BOB}",
        f'First {{"n": 1}}, then the profile: {ADA}',
        f"First attempt:\n```json\n{ADA}\n```\nCorrected:\n```json\n{BOB}\n```",
        f"As in {BOB}:\n```json\n{ADA}\n```",
        '{"n": 1} {"n": 1.0}',
        '{"n": 1} {"n": true}',
        f"{ADA} <think>hm</think> {BOB}",
        f"<answer>{ADA} or {BOB}</answer>",
    ],
)
def test_several_values_without_a_mark_are_ambiguous(text):
    assert refused(text) == "AMBIGUOUS_ANSWER"


def test_an_ambiguous_answer_says_how_many_values_there_are():
    with pytest.raises(RecordError) as caught:
        answer_of(f'{ADA} {BOB} {{"c": 3,}} {ADA}')
    assert caught.value.message == (
        "the model's answer holds 3 different JSON values, and nothing says which of them is meant"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I am sorry, secret.", "MODEL_ANSWER_NOT_JSON"),
        ("use {secret} or [1, 2]", "MODEL_ANSWER_NOT_JSON"),
        ("42", "MODEL_ANSWER_NOT_JSON"),
        ("", "MODEL_ANSWER_NOT_JSON"),
        ("use {} for nothing", "MODEL_ANSWER_NOT_JSON"),
        ("{" * 100_000, "MODEL_ANSWER_NOT_JSON"),
        ('{"a":' * 5_000, "TOO_DEEP"),
        ('So: {"a":' * 50, "MODEL_ANSWER_NOT_JSON"),
        (f"The profile:\n```json\n{ADA[:-1]}", "MODEL_ANSWER_CUT_OFF"),
        ('{"name": "secret", "skills": ["Python", "Kuber', "MODEL_ANSWER_CUT_OFF"),
        (f'{ADA}\nCorrected:\n{{"name": "Ad', "MODEL_ANSWER_CUT_OFF"),
        (f"<think>First {BOB}, or", "MODEL_ANSWER_CUT_OFF"),
        (f"{ADA}<think>or", "MODEL_ANSWER_CUT_OFF"),
        ('{"skills": ["Python", "Go", ...]}', "MODEL_ANSWER_NOT_WHOLE"),
        ('{"level": 1, "level": 2}', "REPEATED_NAME"),
        ('So: {"level": 1, "level": 2}', "REPEATED_NAME"),
        ('{"n": 1e400}', "NUMBER_OUT_OF_RANGE"),
        ("[1, 2]", "MODEL_ANSWER_NOT_OBJECTS"),
        ("[]", "MODEL_ANSWER_NOT_OBJECTS"),
        (f"[{ADA}, 1]", "MODEL_ANSWER_NOT_OBJECTS"),
        (f"So: [1, {ADA}]", "MODEL_ANSWER_NOT_OBJECTS"),
    ],
)
def test_an_answer_without_exactly_one_value_is_refused(text, code):
    assert refused(text) == code


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ada", "job": {"title": "x"}, "skills": ["x" "y"]}',
        '{"name": "Ann", "content": {"bbb": [{"date": "d2"}}, "years": 7}',
        '{"a": {"b": 1}}, "years": 7}',
        '{"a": {"b": 1}}}',
        f"{ADA}]",
        f'{ADA}, "years": 7',
        f"{{{ADA}}}",
        f"[note: {ADA}]",
        f'[{ADA}, {{"name": "B" "C"}}]',
        '"name": "Ada", "job": {"title": "x"}}',
        'n", "job": {"title": "x"}, "skills": ["a"',
        '{"note": "x </think> y", "job": {"title": "x"}, "skills": ["a" "b"]}',
    ],
)
def test_an_object_within_something_broken_is_not_taken_for_the_record(text):
    assert refused(text) in ("MODEL_ANSWER_NOT_JSON", "MODEL_ANSWER_CUT_OFF")


def test_an_object_that_wraps_another_is_taken_as_it_is():
    assert answer_of('{"profile": {"name": "Ada"}}').records == ({"profile": {"name": "Ada"}},)


def test_an_array_of_objects_holds_several_records():
    both = (json.loads(ADA), json.loads(BOB))
    for text in (f"[{ADA}, {BOB}]", f"Both:\n```json\n[{ADA}, {BOB},]\n```", f"<think>[]</think>[\n{ADA},\n{BOB}]"):
        assert answer_of(text).records == both


def test_integers_in_an_answer_stay_exact():
    assert answer_of('Number: {"n": 123456789012345678901}').records == ({"n": 123456789012345678901},)


def test_an_empty_object_is_an_answer_where_nothing_else_is():
    for text in ("{}", " {} ", "```json\n{}\n```"):
        assert answer_of(text) == Answer(({},))


@given(st.text(), st.text())
def test_whatever_a_model_says_is_one_answer_or_one_reason(before, behind):
    try:
        assert answer_of(f"{before}{ADA}{behind}").records
    except RecordError:
        return


# Blocks and items.


@pytest.mark.parametrize(
    "blocks",
    [
        (ADA, "Done."),
        ("Here you are:", ADA),
        ('{"name":', ' "Ada"}'),
        ('{"na', 'me": "A', 'da"}'),
        ("<think>a draft: {", f"</think>{ADA}"),
        (ADA, ADA),
    ],
)
def test_blocks_are_looked_at_one_by_one_and_are_pieces_of_one_text_where_they_are_no_json(blocks):
    assert answer_of(*blocks) == IS_ADA


def test_a_whole_object_within_a_piece_is_not_taken_for_all_of_them():
    assert answer_of('{"name": "Ada", "job": ', '{"title": "x"}', "}").records == (
        {"name": "Ada", "job": {"title": "x"}},
    )
    assert refused('{"name": "Ada", "job": ', '{"title": "x"}') == "MODEL_ANSWER_CUT_OFF"


def test_two_blocks_with_an_object_each_are_ambiguous_whichever_is_longer():
    assert refused(ADA, BOB) == refused(BOB, ADA) == "AMBIGUOUS_ANSWER"


def test_items_are_never_put_together():
    with pytest.raises(RecordError, match=r"^MODEL_ANSWER_CUT_OFF: "):
        answer_in([['{"name": "A'], ['da"}']])
    with pytest.raises(RecordError, match=r"^AMBIGUOUS_ANSWER: "):
        answer_in([[ADA], [BOB]])
    with pytest.raises(RecordError, match=r"^AMBIGUOUS_ANSWER: "):
        answer_in([[ADA], {"name": "Bob"}])
    assert answer_in([["no idea"], [ADA], ['{"cut']]) == answer_in([{"name": "Ada"}, [ADA]]) == IS_ADA


# The library.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"skills": ["x" "y"]}', {"skills": ["x", "y"]}),
        ('So:\n```json\n{"a": yes, "b": "1"}\n```\nDone.', {"a": "yes", "b": "1"}),
        ('[{"a": 1 "b": 2}]', {"a": 1, "b": 2}),
    ],
)
def test_only_if_it_is_asked_for_a_broken_value_is_guessed(text, value):
    assert refused(text) == "MODEL_ANSWER_NOT_JSON"
    assert answer_of(text, repair="aggressive") == Answer((value,), ("json_repair",))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"a": ["x" "y", "Kuber', "MODEL_ANSWER_CUT_OFF"),
        ('{"a": {"bbb": [{"date": "d2"}}, "years": 7}', "MODEL_ANSWER_CUT_OFF"),
        ('{"a": ["x" "y", ...]}', "MODEL_ANSWER_NOT_WHOLE"),
        ('{"a": ["x" "y"], "zip": 01234}', "MODEL_ANSWER_NOT_JSON"),
        ('{"a": ["x" "y"]} {"b": 1}', "MODEL_ANSWER_NOT_JSON"),
        (f'{ADA} {{"a": ["x" "y"]}}', "MODEL_ANSWER_NOT_JSON"),
        ("nothing at all", "MODEL_ANSWER_NOT_JSON"),
    ],
)
def test_not_even_then_is_anything_completed_renumbered_or_chosen(text, code):
    assert refused(text, repair="aggressive") == code


def test_what_needs_no_guess_is_not_guessed():
    assert answer_of('{"a": " x ",}', repair="aggressive") == Answer(({"a": " x "},), ("trailing_commas",))


def test_an_answer_is_found_in_a_time_that_grows_with_its_length_alone():
    started = time.process_time()
    for text in (
        "[" * 200_000,
        "{a" * 100_000,
        "<think>" * 50_000,
        "</think>{" * 50_000,
        '[{"a": "' * 30_000,
        "`" * 100_000,
        '{"t":"' + '{"a":[{' * 30_000 + '"}',
    ):
        for repair in ("safe", "aggressive"):
            refused(text, repair=repair)
    assert time.process_time() - started < 20
