"""What the demo of listen does once the emulators run: trade, listen, kill, resume, compare.

history ─▶ listen ── live ──▶ kill -9 ── trading goes on ──▶ the same command ── live ──▶ market closes
                                                                 verify: equal ◀── listen --once ◀── SIGTERM
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.demos.commands import announce, run_command
from pipeline.demos.emulators import PROJECT
from pipeline.demos.job_process import JobProcess
from pipeline.demos.market import Market
from pipeline.demos.trading import Trading
from pipeline.emulators.start import BigQueryEmulator
from pipeline.exit_codes import EXIT_OK
from pipeline.present.streams import ShownStream, streams_table
from pipeline.present.tables import Column, Table
from pipeline.present.terminal import Console, live_table, say, show
from transforms.bigquery.tables import ensure_latest_view
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError
from transforms.firestore.client import FirestoreClient
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import job_document, read_job
from transforms.ledger.streams import LIVE, read_streams

JOB_ID, DATASET, TABLE = "demo", "local", "candles"

_HISTORY = 10  # candles per stream, before the listener is there
_WRITE_INTERVAL_S = 0.4  # the emulators send and take a few changes per second
_LIVE_S, _DEAD_S = 12.0, 4.0
_MAX_START_S = 60.0
_POLL_INTERVAL_S, _LINE_INTERVAL_S = 0.5, 5.0


def run(
    flags: Sequence[str],
    collections: Mapping[str, int],
    granularities: Sequence[str],
    bigquery: BigQueryEmulator,
    console: Console,
) -> int:
    """Runs the demo; returns the exit code of verify.

    Args:
      flags: of the listener: what to listen to.
      collections: of candles, with the seconds between two candles.
      granularities: what the last segments of their paths are.

    Raises:
      JobError: the listener does not do what it should.
    """
    database = FirestoreTarget(PROJECT, emulator_host=os.environ["FIRESTORE_EMULATOR_HOST"])
    table = BigQueryTarget(bigquery.project, DATASET, TABLE, bigquery.rest)
    folder = Path(tempfile.mkdtemp(prefix="firebeam-demo-"))
    flags = [
        *flags,
        f"--project={PROJECT}",
        f"--bigquery_table={table.name}",
        "--layout=changelog",
        f"--job_id={JOB_ID}",
        f"--dead_letters={folder / 'dead_letters'}",
        "--save_interval_s=1",
    ]
    market, watch = Market(collections), Watch(database.connect(), len(collections), console)
    trading = Trading(market, database, _WRITE_INTERVAL_S)
    say(console)
    say(console, f"{len(collections)} collections of candles; writing {_HISTORY} closed candles into each")
    trading.write(market.history(_HISTORY))
    log = folder / "listener.log"
    with JobProcess("listen", flags, log) as listener, trading:

        def check() -> None:
            listener.check()
            trading.check()

        announce("listen", flags, console)
        pid = listener.start()
        say(console, f"process {pid}; what it says: {log}")
        watch.until_live(check)
        watch.for_seconds(_LIVE_S, check)
        show(console, watch.table())
        listener.kill()
        say(console, f"kill -9 {pid}; candles are written, corrected and deleted meanwhile", "bold yellow")
        watch.for_seconds(_DEAD_S, trading.check)
        say(console, f"the same command again, process {listener.start()}", "bold")
        watch.until_live(check)
        watch.for_seconds(_LIVE_S, check)
        show(console, watch.table())
        trading.close()
        say(console, "the market closes; SIGTERM ends the listener")
        _must_be_ok(listener.end(), log)
        say(console, "the same command with --once, up to now")
        listener.start("--once")
        _must_be_ok(listener.exit_code(), log)
    show(console, writes_table(trading.counts))
    return max(_verify(granularity, table, folder, console) for granularity in granularities)


def _must_be_ok(exit_code: int, log: Path) -> None:
    if exit_code != EXIT_OK:
        raise JobError(f"firebeam listen ended with exit code {exit_code}; {log} has what it said")


class Watch:
    """Shows the streams of the listener while something is waited for: a live table, or a line every few seconds.

    Args:
      client: of the database with the ledger.
      n_streams: how many there are to be.
    """

    def __init__(self, client: FirestoreClient, n_streams: int, console: Console):
        self._client, self._n_streams, self._console = client, n_streams, console

    def until_live(self, check: Callable[[], None]) -> None:
        """Waits until every stream is live.

        Args:
          check: raises what ends the wait.
        """
        before = {each.stream.owner for each in self.streams()}
        with live_table(self._console) as draw:
            for streams in self._ticks(_MAX_START_S, check, draw):
                is_new = {each.stream.owner for each in streams}.isdisjoint(before)
                if len(streams) == self._n_streams and is_new and all(each.state == LIVE for each in streams):
                    return
        raise JobError(f"the streams are not live after {_MAX_START_S:.0f} s: {line_of(self.streams())}")

    def for_seconds(self, seconds: float, check: Callable[[], None]) -> None:
        """Waits so long."""
        with live_table(self._console) as draw:
            for _ in self._ticks(seconds, check, draw):
                pass

    def table(self) -> Table:
        """The streams now."""
        return streams_table(self._client.target.name, self.streams())

    def streams(self) -> list[ShownStream]:
        """The streams, as the ledger has them."""
        document = job_document(self._client, JOB_ID)
        job, at = read_job(document), document.now()
        return [ShownStream(stream, job, at) for stream in read_streams(self._client, JOB_ID)]

    def _ticks(
        self, seconds: float, check: Callable[[], None], draw: Callable[[Table], None]
    ) -> Iterator[list[ShownStream]]:
        began_at = said_at = time.monotonic()
        while time.monotonic() - began_at < seconds:
            check()
            streams = self.streams()
            draw(streams_table(self._client.target.name, streams))
            if not self._console.is_terminal and time.monotonic() - said_at >= _LINE_INTERVAL_S:
                said_at = time.monotonic()
                say(self._console, line_of(streams))
            yield streams
            time.sleep(_POLL_INTERVAL_S)


def line_of(streams: Sequence[ShownStream]) -> str:
    """Several streams in a line, for where no table can be drawn anew: the median of p50, the largest p99."""
    read = sum(each.stream.counts.get("read", 0) for each in streams)
    n_live = sum(each.state == LIVE for each in streams)
    latencies = [each.stream.fields["latency"] for each in streams]
    p50 = [each["p50_ms"] for each in latencies if each["p50_ms"] is not None]
    p99 = [each["p99_ms"] for each in latencies if each["p99_ms"] is not None]
    line = f"{n_live} of {len(streams)} streams are live, {read:,} changes"
    return f"{line}, from change to row p50 {statistics.median(p50):,.0f} ms, p99 {max(p99):,.0f} ms" if p50 else line


def writes_table(counts: Mapping[str, int]) -> Table:
    """What was written, by kind."""
    rows = tuple((kind, f"{n:,}") for kind, n in counts.items())
    return Table("what happened to candles in Firestore", (Column("kind"), Column("writes", is_number=True)), (rows,))


def _verify(granularity: str, table: BigQueryTarget, folder: Path, console: Console) -> int:
    """Compares all candles of a length, document by document."""
    view = replace(table, table=f"{table.table}_{granularity}")
    sql = f"SELECT * FROM `{table.latest.id}` WHERE document_name LIKE '%/{granularity}/%'"  # noqa: S608  # ours
    ensure_latest_view(view, sql)
    flags = [
        f"--left=firestore://**/{granularity}",
        f"--right=bigquery:{view.latest.name}",
        f"--project={PROJECT}",
        f"--dead_letters={folder}",
    ]
    return run_command("verify", flags, console)
