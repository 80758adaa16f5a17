"""What the demo shows beside what ingest shows: whole, whatever the width."""

import io
import json

import pytest

from pipeline.commands.demo import show_dead_letters, show_next_steps
from pipeline.present.terminal import Console

MESSAGE = "the field rating must be a number from 1 to 5, or text that names one, such as 4 of 5 or 80 %"
COMMAND = "      --bigquery_table=my-project:people.candidates --dead_letters=gs://my-bucket/dead_letters"


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("on_terminal", [True, False])
def test_words_paths_and_commands_are_whole_at_every_width(tmp_path, width, on_terminal):
    file = tmp_path / "permanent" / f"{'0' * 60}.jsonl"
    file.parent.mkdir()
    dead_letter = {"source": "a", "position": 1, "line": 2, "code": "INVALID_RATING", "message": MESSAGE}
    file.write_text(json.dumps(dead_letter))
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=on_terminal, color_system=None)
    show_dead_letters(tmp_path, console)
    show_next_steps(console)
    shown = out.getvalue()
    assert f"  {file}\n" in shown
    assert f"{COMMAND}\n" in shown
    assert {"INVALID_RATING", *MESSAGE.split()} <= set(shown.split())
    assert on_terminal or MESSAGE in shown
