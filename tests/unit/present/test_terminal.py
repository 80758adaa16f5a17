"""Tables and lines: whatever the width, no word is cut."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.present.tables import Cell, Column, Table
from pipeline.present.terminal import Console, live_table, say, show

PATH = "/home/ada/dead_letters/permanent/0123456789ab-00000-00007.jsonl"
COMMAND = "gcloud dataflow jobs list --project=acme-prod --region=europe-west1"
ADVICE = "enable the Firestore API of the project, or name another one with --project, and run this command again"
TABLE = Table(
    "ingest-0c4a6d1f52: running",
    (Column(), Column()),
    ((("dead letters", PATH), ("Dataflow's state", Cell(COMMAND, is_whole=True))), (("advice", ADVICE),)),
)


def printed(width, *, on_terminal, print_to=lambda console: show(console, TABLE)):
    out = io.StringIO()
    print_to(Console(file=out, width=width, force_terminal=on_terminal, color_system=None))
    return out.getvalue()


@pytest.mark.parametrize("width", [1, 40, 80, 500])
@pytest.mark.parametrize("on_terminal", [True, False])
def test_paths_commands_and_titles_are_whole_at_every_width(width, on_terminal):
    text = printed(width, on_terminal=on_terminal)
    assert all(whole in text for whole in (TABLE.title, PATH, COMMAND))


@pytest.mark.parametrize("width", [20, 80, 120])
def test_in_a_file_or_pipe_a_row_is_one_line(width):
    text = printed(width, on_terminal=False)
    assert ADVICE in text
    assert (
        len(text.splitlines()) == 7
    )  # the title, three rows, and a line around, above, below and between the sections


def test_on_a_narrow_terminal_a_sentence_wraps_between_its_words():
    text = printed(90, on_terminal=True)
    assert ADVICE not in text
    assert set(ADVICE.split()) <= set(text.split())
    assert max(map(len, text.splitlines())) == 90


words = st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=30)


@given(st.lists(st.lists(words, min_size=1, max_size=8), min_size=2, max_size=2), st.integers(1, 60))
def test_no_word_is_ever_cut(cells, width):
    table = Table("", (Column(), Column()), ((tuple(map(" ".join, cells)),),))
    shown = printed(width, on_terminal=True, print_to=lambda console: show(console, table))
    assert {word for cell in cells for word in cell} <= set(shown.split())


def test_what_looks_like_markup_is_shown_as_it_is():
    table = Table("[bold]t[/]", (Column("[a]"),), ((("[red]x[/]",), (Cell("[/b]"),)),))
    text = printed(80, on_terminal=True, print_to=lambda console: show(console, table))
    assert all(shown in text for shown in ("[bold]t[/]", "[a]", "[red]x[/]", "[/b]"))


def test_a_line_is_never_wrapped():
    assert (
        printed(10, on_terminal=True, print_to=lambda console: say(console, f"[/x] {COMMAND}")) == f"[/x] {COMMAND}\n"
    )


def test_a_live_table_is_drawn_on_a_terminal_and_nowhere_else():
    def draw(console):
        with live_table(console) as draw:
            draw(TABLE)

    assert all(whole in printed(200, on_terminal=True, print_to=draw) for whole in (TABLE.title, PATH))
    assert printed(200, on_terminal=False, print_to=draw) == ""
