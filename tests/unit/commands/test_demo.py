"""What the demo shows beside what ingest shows: whole, whatever the width."""

import io
import json
import re
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.demos.ingest import show_dead_letters, show_next_steps
from pipeline.demos.status_page import show_page
from pipeline.present.terminal import Console
from tests.support.page_ledgers import ledger_of
from tests.support.page_server import asked
from transforms.testing import ScriptedFirestore

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "unknown demo 'nonsense'; there are ingest, listen, sources, migrate"),
        (["listen", "--instrument=A"], "unknown argument --instrument; did you mean --instruments?"),
        (["listen", "--instruments="], "--instruments must not be empty"),
        (["listen", "--instruments=EUR/USD"], "--instruments must be names such as EUR_USD, got 'EUR/USD'"),
        (["listen", "--granularities=,"], "--granularities must not be empty"),
        (["listen", "--granularities=H1,1H"], "'1H' is not a length of candles; use letters as in M1"),
        (["listen", f"--instruments={','.join(f'I{n}' for n in range(11))}"], "at most 20 streams, got 22"),
        (["listen", "--log_level=loud"], "--log_level must be one of DEBUG, INFO, WARNING, ERROR, got 'loud'"),
    ],
    ids=str,
)
def test_nonsense_is_one_line_before_anything_starts(capsys, arguments, message):
    assert main(["demo", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in " ".join(shown.split())
    assert "emulator" not in shown


def test_help_of_each_demo_shows_its_own_flags(capsys):
    for name, flag in (("ingest", "--input"), ("listen", "--instruments")):
        with pytest.raises(SystemExit):
            main(["demo", name, "--help"])
        assert flag in capsys.readouterr().out


def test_the_page_is_served_until_somebody_has_seen_it_or_written_where_nobody_looks():
    with ScriptedFirestore(ledger_of(8, job_id="demo-batches")) as server:
        out, seen = io.StringIO(), []
        console = Console(file=out, width=80, force_terminal=False)

        def look():
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)$", out.getvalue(), re.MULTILINE)[1])
            seen.append(asked(port, "/jobs/demo-batches"))

        show_page(server.target, console, look)
        assert [(answer.status, answer.text.count('<tr data-key="fb-')) for answer in seen] == [(200, 8)]
        show_page(server.target, console)
        path = Path(out.getvalue().splitlines()[-1].strip())
    assert path.name == "demo-batches.html"
    assert path.read_text().count('<tr data-key="fb-') == 8
