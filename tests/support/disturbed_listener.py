"""A listener of candles that is killed, or cut off, while candles are written, corrected and deleted."""

from __future__ import annotations

import collections
import datetime
import json
import random
import signal
import threading
from dataclasses import dataclass, field

from pipeline.demos.market import Market
from tests.support.export import ExportDesk
from tests.support.listen import ListenDesk, wait_until
from tests.support.traffic import SECONDS, Traffic
from tests.support.wire import Wire
from transforms.firestore.query import Query

INSTRUMENTS = ("EUR_USD", "USD_JPY")
FLAGS = (
    "--streams=candles",
    f"--stream_var=instruments={','.join(INSTRUMENTS)}",
    "--stream_var=granularities=H1",
    "--layout=both",
    "--save_interval_s=1",
    "--rates=high=100000",
    "--max_changes_per_min=100000",
)


@dataclass
class CandleListener(ListenDesk):
    """Listens to two collections of candles, both layouts, as fast as it can."""

    flags: tuple[str, ...] = FLAGS
    traffic: Traffic = field(init=False)

    def __post_init__(self) -> None:
        collections = {f"candles/{instrument}/H1": SECONDS for instrument in INSTRUMENTS}
        self.traffic = Traffic(self.desk, Market(collections))

    def closed(self) -> dict[str, object]:
        """The versions of the candles that are closed, by path."""
        queries = (Query(f"candles/{each}/H1").where("complete", "==", True) for each in INSTRUMENTS)
        return {path: version for query in queries for path, (version, _) in self.database(query).items()}

    def shows_the_database(self) -> bool:
        """Whether both views show every closed candle, in its last version, and nothing else."""
        closed = self.closed()
        return closed == self.latest() == self.latest("_changelog_latest")

    def is_live(self) -> bool:
        """Whether every stream says so."""
        streams = self.streams().values()
        return bool(streams) and all(stream.state == "live" for stream in streams)

    def check(self) -> None:
        """Asserts what must hold at the end, whatever happened."""
        closed = self.closed()
        assert self.latest() == closed
        assert self.latest("_changelog_latest") == closed
        events = self.desk.rows("_changelog", "timestamp")
        assert {json.loads(row["data"])["complete"] for row in events if row["data"]} == {True}
        assert {row["complete"] for row in self.desk.rows("", "document_name") if row["deleted_at"] is None} == {True}
        # What comes again has the event id that it had, and no other event has it.
        by_state: dict[tuple[str, datetime.datetime], set[str]] = collections.defaultdict(set)
        by_event: dict[str, tuple[str, bool, object]] = {}
        for row in events:
            is_deleted = row["operation"] == "DELETE"
            state = row["document_name"], is_deleted, json.loads(row["data"] or "null")
            if row["event_id"] in by_event:
                assert by_event[row["event_id"]] == state
            by_event[row["event_id"]] = state
            if not is_deleted:
                by_state[row["document_name"], row["update_time"]].add(row["event_id"])
        assert max(map(len, by_state.values())) == 1
        for stream in self.streams().values():
            counts = stream.counts
            done = sum(counts[name] for name in ("written", "unchanged", "superseded", "dead_letter_count"))
            assert counts["read"] == done, stream.fields
            assert counts["dead_letter_count"] == 0, stream.fields["last_error"]


def check_kills(desk: ExportDesk, seed: int, kills: int) -> None:
    """Kills the listener some times, each at a moment of its own: while it starts, reads, writes or saves.

    The same command resumes it every time, candles are written and deleted meanwhile, and a last run with --once shows
    the database.
    """
    dice, listener = random.Random(seed), CandleListener(desk)
    listener.traffic.store(listener.traffic.market.history(30))
    with listener.traffic.running():
        for _ in range(kills):
            with listener.running() as process:
                if dice.random() < 0.7:
                    wait_until(lambda: listener.is_live() or process.poll() is not None)
                threading.Event().wait(dice.uniform(0.0, 3.0))
                assert process.poll() is None, "it ended by itself"
                assert listener.end(process, signal.SIGKILL) == -signal.SIGKILL
            threading.Event().wait(dice.uniform(0.0, 1.0))
    assert listener.once() == 0
    listener.check()


def check_cuts(desk: ExportDesk, seed: int, cuts: int) -> None:
    """Breaks the listener's connections to Firestore some times; it finds its way back by itself."""
    assert desk.database.emulator_host
    dice, listener = random.Random(seed), CandleListener(desk)
    listener.traffic.store(listener.traffic.market.history(30))
    wire = Wire(int(desk.database.emulator_host.rpartition(":")[2]))
    try:
        with listener.running(FIRESTORE_EMULATOR_HOST=f"127.0.0.1:{wire.port}") as process:
            with listener.traffic.running():
                wait_until(listener.is_live)
                for _ in range(cuts):
                    threading.Event().wait(dice.uniform(0.1, 2.0))
                    wire.cut(dice.choice((0.0, 0.5, 1.5)))
            wait_until(listener.shows_the_database, 180.0)
            assert listener.end(process) == 0
    finally:
        wire.close()
    listener.check()
