"""Shows how far a running job is: a live bar on a terminal, a plain line every few seconds elsewhere.

The numbers come from the ledger, so they are the same for a job that runs on this machine and for one that runs on
another: batches that are done, not attempts.

    ━━━━━━━━━━━╸━━━━━━━━━━━━ 24 batches, 12,000 records, 3 dead letters, 0 retries, 950 records/s, 45 %, 0:00:15 left

How much is left is known where the bytes of the input are known and batches tell their share of them: not of gzip, not
of Parquet, not of a Firestore collection.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from pipeline.present.terminal import Console, say
from transforms.counters import BYTES_READ
from transforms.errors import TransientError
from transforms.ledger.totals import Totals
from transforms.retry import SYSTEM_CLOCK, Clock

_POLL_INTERVAL_S = 1.0
# Reading the ledger takes longer the more batches there are; it shall take at most this share of the time.
_MAX_POLL_SHARE = 0.05
# Meanwhile it is shown that the run is alive.
_MAX_INTERVAL_S = 10.0
_PLAIN_INTERVAL_S = 10.0
_BAR_WIDTH = 30


class Running(Protocol):
    """Something that runs."""

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within the time."""


class Pace(NamedTuple):
    """How fast a job goes and how far it is; None is not known.

    Attributes:
      records_per_s: of the batches completed last.
      share: of the input that is done, in [0, 1].
      left_s: until the rest is done, at this pace.
    """

    records_per_s: float | None = None
    share: float | None = None
    left_s: float | None = None


def pace(totals: Totals, bytes_total: int | None, since: datetime.datetime, until: datetime.datetime) -> Pace:
    """The pace of a job whose owner works since `since`, as seen at `until`.

    >>> from collections import Counter
    >>> from transforms.ledger.totals import Completion
    >>> from transforms.outcomes import RECORDS
    >>> noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
    >>> totals = Totals(RECORDS, counts=Counter(bytes_read=300), recent=(Completion(noon, 10, 100),))
    >>> pace(totals, 1_000, noon - datetime.timedelta(seconds=2), noon)
    Pace(records_per_s=5.0, share=0.3, left_s=14.0)
    """
    counted = [completion for completion in totals.recent if completion.at >= since]
    if counted and len(counted) == len(totals.recent) < totals.batches:
        since = counted.pop().at  # there were more before: the oldest of these only says when the others began
    seconds = (until - since).total_seconds()
    bytes_read = totals[BYTES_READ]
    share = bytes_read / bytes_total if bytes_total and bytes_read <= bytes_total else None
    if not counted or seconds <= 0:
        return Pace(share=share)
    records_per_s = sum(completion.read for completion in counted) / seconds
    bytes_per_s = sum(completion.bytes_read for completion in counted) / seconds
    if share is None or not bytes_total or not bytes_per_s:
        return Pace(records_per_s, share)
    return Pace(records_per_s, share, (bytes_total - bytes_read) / bytes_per_s)


def progress_line(totals: Totals, at: Pace) -> str:
    """
    >>> from collections import Counter
    >>> from transforms.outcomes import RECORDS
    >>> progress_line(Totals(RECORDS, batches=2, counts=Counter(read=1000)), Pace(250.0, 0.25, 12.0))
    '2 batches, 1,000 records, 0 dead letters, 0 retries, 250 records/s, 25 %, 0:00:12 left'
    """
    counters = totals.counters
    parts = [f"{totals.batches:,} {counters.batches}", f"{totals.total:,} {counters.total.unit}"]
    parts += (f"{totals[counter.name]:,} {counter.label}" for counter in counters.all if counter.is_watched)
    if at.records_per_s is not None:
        parts.append(f"{at.records_per_s:,.0f} {counters.total.unit}/s")
    if at.share is not None:
        parts.append(f"{at.share:.0%}".replace("%", " %"))
    if at.left_s is not None:
        parts.append(f"{duration(at.left_s)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """
    >>> duration(3725.4), duration(200_000)
    ('1:02:05', '2 days, 7:33:20')
    """
    return str(datetime.timedelta(seconds=round(seconds)))


def show_progress(
    running: Running,
    totals: Callable[[], Totals],
    beat: Callable[[], None],
    console: Console,
    bytes_total: int | None = None,
    clock: Clock = SYSTEM_CLOCK,
    beside: Callable[[], str] = str,
) -> None:
    """Returns when `running` has ended.

    Args:
      running: what to wait for.
      totals: reads the ledger.
      beat: called about once a second; may raise to end the wait. A ledger that cannot be reached does not end it: the
        run itself will show whether that matters.
      console: where to show it.
      bytes_total: of all input, if known.
      clock: what time it is.
      beside: what to say before the numbers; empty for nothing.
    """
    now = clock.now
    started_at = printed_at = now()
    due_at, line, at = started_at, "", Pace()
    with live_line(console) as show:
        while not running.wait(max(_POLL_INTERVAL_S, min(_MAX_INTERVAL_S, due_at - now()))):
            polled_at = now()
            try:
                beat()
                if polled_at < due_at:
                    continue
                read = totals()
                at = pace(read, bytes_total, _moment(started_at), _moment(now()))
                line = ", ".join(filter(None, (beside(), progress_line(read, at))))
            except TransientError as failure:
                line = f"progress is not known: {failure}"
            due_at = now() + (now() - polled_at) / _MAX_POLL_SHARE
            show(line, at.share)
            if not console.is_terminal and now() - printed_at >= _PLAIN_INTERVAL_S:
                say(console, line)
                printed_at = now()


@contextlib.contextmanager
def live_line(console: Console) -> Iterator[Callable[[str, float | None], None]]:
    """A bar with a line of text behind it, which disappear at the end; nothing where the console is not a terminal.

    Yields a function of the line and of the share that is done, if that is known.
    """
    if not console.is_terminal:
        yield lambda line, share: None
        return
    from rich.markup import escape  # where there is nothing to draw, nobody waits for it
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(BarColumn(_BAR_WIDTH), TextColumn("{task.description}"), console=console, transient=True) as bar:
        task = bar.add_task("starting …", total=None)

        def show(line: str, share: float | None) -> None:
            bar.update(task, description=escape(line), total=None if share is None else 1.0, completed=share or 0.0)

        yield show


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
