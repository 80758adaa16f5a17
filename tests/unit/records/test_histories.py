"""The present entry of a work history, in the forms that résumé processors write."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.records.histories import EntryForm

FORM = EntryForm("{company} : {title}")


def present(text):
    return FORM.part(text, "company"), FORM.part(text, "title")


OLD = "- 2015/03 - 2021/11\nOld Co : Old Title"
PERIODS_WITHOUT_END = [
    "2021/12 - current", "2021/12 - Present", "2021/12 - atual", "2021/12 - até o momento", "2021/12 - hoje",
    "2021/12 - actualidad", "2021/12 - heute", "2021/12 - aujourd'hui", "2021/12 - attuale", "2021/12 - heden",
    "2021/12 - по настоящее время", "2021/12 - 至今", "2021年12月 - 現在", "2021/12 -", "2021/12 - ",
    "2021-12 – present", "12/2021 — today", "Dec 2021 - Present", "December 2021 to present",
    "dezembro de 2021 até o momento", "dez/2021 - atual", "01.12.2021 - heute", "2021 - now", "since 2021",
    "desde 2021", "Seit Dezember 2021", "Dec 2021 - Present · 3 yrs 2 mos", "(2021/12 - current)",
]  # fmt: skip


@pytest.mark.parametrize("period", PERIODS_WITHOUT_END)
@pytest.mark.parametrize(
    "form", ["- {0}\nVela : Head\n\n{1}\n", "{1}\n\n- {0}\nVela : Head", "{1}\r\n\r\n• {0}\r\nVela : Head"]
)
def test_the_entry_without_an_end_is_the_present_one_wherever_it_stands(period, form):
    assert present(form.format(period, OLD)) == ("Vela", "Head")


@pytest.mark.parametrize(
    "text",
    [
        "- 2019/01 - 2020/02\nA : B\n\n- 2020/03 - 2024/11\nVela : Head\n\n- 2015 - 2018\nC : D",
        "- 2020/03 - 2021/01\nVela : Head\n\n- 2019/01 - 2020\nA : B",
        "Jan 2019 - Feb 2020\nA : B\n\nmarço de 2020 - abril de 2024\nVela : Head",
        "01/2019 bis 02/2020\nA : B\n\n03/2020 bis 04/2024\nVela : Head",
        "- 2019\nA : B\n\n- 2020\nVela : Head",
    ],
)
def test_where_all_have_ended_it_is_the_one_that_ended_last(text):
    assert present(text) == ("Vela", "Head")


def test_of_several_without_an_end_the_one_that_began_last_is_the_present_one():
    text = "- 2019/01 - current\nA : B\n\n- 2021/05 - present\nVela : Head\n\n- 2020/01 -\nC : D"
    assert present(text) == ("Vela", "Head")


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("- Vela : Head\n- Atlas : Analyst", ("Vela", "Head")),
        ("Vela : Head", ("Vela", "Head")),
        ("- 3M : Engineer", ("3M", "Engineer")),
        ("- Vela : Head : Data", ("Vela", "Head : Data")),
        ("- Borges - ME : Lead", ("Borges - ME", "Lead")),
        ("- Expo 2020 - Dubai : Guide", ("Expo 2020 - Dubai", "Guide")),
        ("Atlas : Analyst (2015 - 2019)\nVela : Head (2019 - present)", ("Vela", "Head")),
        ("2015 - 2019 Atlas : Analyst\n2019 - present: Vela : Head", ("Vela", "Head")),
        ("2019 - current Vela : Head", ("Vela", "Head")),
        ("Atlas : Analyst, 2015 - 2019\nVela : Engineer 2019 - 2021", ("Vela", "Engineer")),
        ("Atlas : Analyst\n2015 - 2019\n\nVela : Head\n2019 - present", ("Vela", "Head")),
        ("Atlas : Analyst\n2015 - 2019\nVela : Head\n2019 - present", ("Vela", "Head")),
        ("- 2015 - 2019\nAtlas : Analyst\n- 2019 - now\nVela : Head", ("Vela", "Head")),
        ("2015 - 2019\n\nAtlas : Analyst\n\n2019 - now\n\nVela : Head", ("Vela", "Head")),
        ("- 2019 - now\nVela : Head\n- Stack : Python\n- Team : 4\n\n" + OLD, ("Vela", "Head")),
        ("- current\nVela : Head\n\n" + OLD, ("Vela", "Head")),
        (OLD + "\n\n- 2022/01 - current\n", ("Old Co", "Old Title")),
        (["- 2015 - 2019\nAtlas : Analyst", "- 2019 - now\nVela : Head", None], ("Vela", "Head")),
    ],
)  # fmt: skip
def test_entries_are_told_apart_in_every_layout(text, entry):
    assert present(text) == entry


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (" : Head", ("", "Head")),
        (": Head", ("", "Head")),
        ("Vela : ", ("Vela", "")),
        ("Vela :", ("Vela", "")),
        (" : ", ("", "")),
    ],
)
@pytest.mark.parametrize("form", ["- 2021/12 - current\n{}\n\n" + OLD, "-{}", "{}"])
def test_a_part_that_is_left_out_is_empty_and_is_not_taken_from_another_entry(line, entry, form):
    if form == "-{}" and not line.startswith(" "):
        line = f" {line}"
    assert present(form.format(line)) == entry


@pytest.mark.parametrize(
    "text", ["", " \n ", "no names here", "- 2021/12 - current", "Vela: Head", None, 7, {}, [], [7]]
)
def test_without_an_entry_there_is_no_part(text):
    assert present(text) == (None, None)


def test_the_form_says_which_part_is_which():
    form = EntryForm("{title} at {company}, {place}")
    text = "2019 - now\nHead of Data at Vela, Porto"
    assert [form.part(text, name) for name in ("company", "title", "place")] == ["Vela", "Head of Data", "Porto"]


@given(st.text(alphabet="- 2021/:abcurent\n\r.,()月年", max_size=200) | st.text())
def test_reading_never_raises(text):
    company, title = present(text)
    assert (company is None) == (title is None)


@pytest.mark.parametrize(
    "text",
    ["2020 - 2021 x : y " * 40_000, "- " * 300_000, "2020 " * 100_000, "a : " * 100_000, "from " * 100_000,
     "2020 - " + "w " * 100_000, ("2020 - a b c d e f " * 20 + "\n") * 30_000, "\n" * 500_000, "janeiro de " * 100_000],
)  # fmt: skip
def test_no_text_takes_long(text):
    started = time.process_time()
    present(text)
    assert time.process_time() - started < 1
