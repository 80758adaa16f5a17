"""firebeam listen on the emulators: what is written while it runs, while it is down, and while it is killed arrives."""

import json
import re
import signal
import socket
import urllib.request

import pytest

from pipeline.__main__ import main
from pipeline.specs import SPECS
from tests.support.export import people
from tests.support.listen import ListenDesk, wait_until
from transforms.ledger.jobs import COMPLETED, job_document, read_job
from transforms.ledger.streams import STOPPED

pytestmark = pytest.mark.emulator


@pytest.fixture
def listen(desk):
    return ListenDesk(desk)


def test_once_brings_everything_up_to_now_and_the_next_time_only_what_has_changed(listen, desk):
    desk.store(people(*range(20)))
    assert listen.once("--layout=both") == 0
    assert listen.is_equal()
    assert listen.is_equal("_changelog_latest")
    desk.store({**people(3, age=7), "users/u004": None, **people(99)})
    assert listen.once("--layout=both") == 0
    assert listen.is_equal()
    assert listen.is_equal("_changelog_latest")
    (stream,) = listen.streams().values()
    assert stream.state == STOPPED
    counted = {name: stream.counts[name] for name in ("read", "written", "removed")}
    assert counted == {"read": 23, "written": 23, "removed": 1}
    assert stream.counts_of_run()["read"] == 3
    operations = [row["operation"] for row in desk.rows("_changelog", "timestamp")]
    assert (operations.count("CREATE"), operations.count("UPDATE"), operations.count("DELETE")) == (21, 1, 1)


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def test_it_listens_until_a_signal_ends_it_which_is_no_failure(listen, desk, port):
    desk.store(people(1, 2))
    with listen.running(f"--port={port}") as process:
        wait_until(lambda: bool(listen.streams()) and listen.is_equal())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            health = json.load(answer)
        assert (answer.status, health["overall_status"], health["total_streams"]) == (200, "healthy", 1)
        assert main(["streams", "listen-1", "--check", f"--project={desk.database.project}"]) == 0
        # Somebody else is refused, with the name of the owner.
        assert listen.once() == 2
        desk.store({**people(2, age=3), "users/u001": None, **people(5)})
        wait_until(listen.is_equal)
        assert listen.end(process) == 0
    assert [stream.state for stream in listen.streams().values()] == [STOPPED]
    job = read_job(job_document(desk.database.connect(), "listen-1"))
    assert job.state == COMPLETED


def test_what_is_written_and_deleted_while_it_is_dead_arrives_when_it_is_resumed(listen, desk):
    desk.store(people(*range(10)))
    with listen.running("--save_interval_s=0") as process:
        wait_until(lambda: bool(listen.streams()) and listen.is_equal())
        desk.store(people(50))
        wait_until(listen.is_equal)
        assert listen.end(process, signal.SIGKILL) == -signal.SIGKILL
    desk.store({"users/u050": None, "users/u001": None, **people(2, age=1), **people(60)})
    assert listen.once() == 0
    assert listen.is_equal()


def test_a_taken_port_is_refused_before_anything_starts(listen, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert listen.once(f"--port={taken.getsockname()[1]}") == 2
    assert "pass another --port" in capsys.readouterr().err
    assert listen.streams() == {}


def candle(time, *, complete=True, **prices):
    return {"o": 1.0, "h": 3.0, "l": 1.0, "c": 2.0, "v": 10, "ts": time, "complete": complete, **prices}


def test_candles_arrive_typed_incomplete_ones_are_never_seen_and_bad_ones_are_dead_letters(desk):
    flags = ("--streams=candles", "--stream_var=instruments=EUR_USD,GBP_USD", "--stream_var=granularities=H1")
    listen, begins = ListenDesk(desk, flags), 1_759_665_600
    times = range(begins, begins + 40 * 3600, 3600)
    desk.store({f"candles/EUR_USD/H1/{time}": candle(time, complete=time != times[-1]) for time in times})
    desk.store({f"candles/GBP_USD/H1/{begins}": candle(begins, h=0.5)})
    assert listen.once() == 0
    rows = desk.rows("")
    assert [row["document_id"] for row in rows] == [str(time) for time in times[:-1]]
    first = {name: rows[0][name] for name in ("instrument", "granularity", "symbol", "interval", "open", "volume")}
    assert first == {
        "instrument": "EUR_USD", "granularity": "H1", "symbol": "EUR_USD", "interval": "H1", "open": 1.0, "volume": 10.0
    }  # fmt: skip
    (letter,) = [line for file in (desk.folder / "dead_letters").rglob("*.jsonl") for line in file.open()]
    assert json.loads(letter)["code"] == "OUT_OF_ORDER"
    streams = listen.streams()
    assert streams["candles-GBP_USD-H1"].counts["dead_letter_count"] == 1
    assert streams["candles-GBP_USD-H1"].fields["last_error"]["code"] == "OUT_OF_ORDER"
    desk.store({f"candles/EUR_USD/H1/{times[-1]}": candle(times[-1]), f"candles/EUR_USD/H1/{times[0]}": None})
    assert listen.once() == 0
    assert [row["document_id"] for row in desk.rows()] == [str(time) for time in times[1:]]


def test_what_a_corrected_spec_accepts_is_replayed_into_the_table_while_the_listener_runs(desk):
    flags = ("--streams=candles", "--stream_var=instruments=EUR_USD", "--stream_var=granularities=H1", "--layout=both")
    listen, begins = ListenDesk(desk, flags), 1_759_665_600
    paths = [f"candles/EUR_USD/H1/{begins + hour * 3600}" for hour in range(3)]
    desk.store({path: candle(int(path[-10:]), h=0.5) for path in paths})
    spec, dead_letters = desk.folder / "loose.yaml", desk.folder / "dead_letters"
    spec.write_text(re.sub(r"(?m)^ordered:\n(  - .*\n)+", "", SPECS.read("candles").text))
    with listen.running() as process:
        wait_until(lambda: [stream.counts["dead_letter_count"] for stream in listen.streams().values()] == [3])
        desk.store({paths[1]: candle(begins + 3600), paths[2]: None})
        wait_until(lambda: len(desk.rows("_changelog")) >= 2)
        replay = [f"--project={desk.database.project}", f"--dead_letters={dead_letters}", f"--spec={spec}"]
        assert main(["replay", *replay, "--max_dead_letter_ratio=1"]) == 0
        assert [file.parent.name for file in dead_letters.rglob("*.jsonl")] == ["replayed"]
        assert listen.end(process) == 0
    for suffix in ("_latest", "_changelog_latest"):
        assert listen.latest(suffix).keys() == set(paths[:2])
    assert [row["high"] for row in desk.rows()] == [0.5, 3.0]
