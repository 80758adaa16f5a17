"""firebeam demo listen: candles change in Firestore, and BigQuery shows it, although the listener is killed.

    market ─▶ Firestore emulator ─▶ firebeam listen, a process ─▶ BigQuery emulator ─▶ firebeam verify: equal
              opened, formed,       │ kill -9 ─▶ same command      changelog of candles
              closed, corrected,    └ live table: state, changes, milliseconds from change to row
              reopened, deleted

Everything it starts it stops, also on Ctrl-C. It works on emulators only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from pipeline.demos.emulators import emulators
from pipeline.demos.market import candle_seconds
from pipeline.jobs.listen_flags import LOG_LEVELS
from pipeline.present.terminal import Console
from pipeline.run.flags import Usage, option, parse_only
from pipeline.run.listening import signals_call
from transforms.errors import UsageError

_MAX_STREAMS = 20
_INSTRUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True)
class Config:
    """The flags of demo listen."""

    instruments: tuple[str, ...] = option(
        ("EUR_USD", "GBP_USD", "USD_JPY"),
        group="Market",
        metavar="NAME",
        help="what is traded; separate with commas",
    )
    granularities: tuple[str, ...] = option(
        ("H1", "H4"), group="Market", metavar="LENGTH", help="lengths of candles; each is a stream per instrument"
    )
    log_level: str = option("WARNING", group="Results", choices=LOG_LEVELS, help="what the listener logs, into a file")


USAGE = Usage(
    "demo listen",
    Config,
    about="""\
Starts the Firestore and BigQuery emulators, writes candles into Firestore and listens to them. The listener is killed
and resumed, and in the end both stores are compared.""",
    example="  firebeam demo listen --instruments=EUR_USD,USD_JPY --granularities=M1",
)


def main(arguments: Sequence[str], console: Console) -> int:
    """Runs the demo; returns the exit code of verify: 0 if both stores are equal.

    Raises:
      UsageError: a flag is wrong.
      EmulatorMissingError: an emulator cannot run here; the message says what to do.
      JobError: the listener does not do what it should.
    """
    config = parse_only(USAGE, arguments)
    collections = _collections(config)
    with signals_call(_interrupt), emulators(console, can_do_without_bigquery=False) as bigquery:
        assert bigquery is not None, "it was asked for"
        from pipeline.demos.listening import run  # imports the clients, for which nobody waits who asks for help

        flags = [
            "--streams=candles",
            f"--stream_var=instruments={','.join(config.instruments)}",
            f"--stream_var=granularities={','.join(config.granularities)}",
            f"--max_concurrent_streams={len(collections)}",
            f"--log_level={config.log_level}",
        ]
        return run(flags, collections, config.granularities, bigquery, console)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Leaves all that was begun, as a Ctrl-C does: SIGTERM alone would leave the listener running."""
    raise KeyboardInterrupt


def _collections(config: Config) -> dict[str, int]:
    """The paths of the streams, with the seconds between two candles of each."""
    from pipeline.streams import read_streams

    for flag in ("instruments", "granularities"):
        if not getattr(config, flag):
            raise UsageError(f"--{flag} must not be empty")
    for instrument in config.instruments:
        if not _INSTRUMENT.fullmatch(instrument):
            raise UsageError(f"--instruments must be names such as EUR_USD, got {instrument!r}")
    seconds = {granularity: candle_seconds(granularity) for granularity in config.granularities}
    variables = {"instruments": config.instruments, "granularities": config.granularities}
    streams = read_streams("candles", variables).streams
    if len(streams) > _MAX_STREAMS:
        raise UsageError(f"the demo shows at most {_MAX_STREAMS} streams, got {len(streams)}; name fewer --instruments")
    return {stream.query.collection: seconds[stream.parameters["granularity"]] for stream in streams}
