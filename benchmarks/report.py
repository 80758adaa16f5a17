"""What was measured, as tables for a terminal, as Markdown for docs/benchmarks.md, and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table

from benchmarks.measure import Sample
from benchmarks.turns import Measured, Suite

Result: TypeAlias = tuple[Suite, Sequence[Measured]]
RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("apache-beam", "google-cloud-firestore", "grpcio", "protobuf", "orjson")


@dataclass(frozen=True)
class Figure:
    """One column: the median over the rounds of what `of` takes from a sample."""

    heading: str
    of: Callable[[Sample], float | None]
    digits: int = 0


def _latency(quantile: str) -> Callable[[Sample], float | None]:
    return lambda sample: (sample.extra.get("latency_ms") or {}).get(quantile)


# Client CPU of one element; latencies of a Commit, or from the write of a change to the sink; seconds from the start of
# the process to the first Commit answered, and from the start of the job to the first batch complete; seconds of the
# whole process, imports included. Of a listener: CPU per document of the first result; memory at the end without
# garbage, and how many times as much that is as before; share of a core. Of the status page: until it is made, its
# size, that of an update, how long a browser draws; documents that are read in an hour.
# Of batches at a provider: from the first one ready to the first one stored; how many are stored before the slow one is
# ready; requests about their states.
FIGURES = (
    Figure("per s", lambda sample: sample.per_s),
    Figure("CPU µs", lambda sample: sample.cpu_us),
    Figure("peak MB", lambda sample: sample.peak_mb),
    Figure("p50 ms", _latency("p50")),
    Figure("p99 ms", _latency("p99")),
    Figure("write s", lambda sample: sample.extra.get("first_write_s"), 1),
    Figure("result s", lambda sample: sample.extra.get("first_result_s"), 1),
    Figure("whole s", lambda sample: sample.extra.get("whole_s"), 1),
    Figure("first µs", lambda sample: sample.extra.get("first_cpu_us")),
    Figure("held MB", lambda sample: sample.extra.get("held_mb"), 1),
    Figure("growth ×", lambda sample: sample.extra.get("growth"), 2),
    Figure("after s", lambda sample: sample.extra.get("after_ready_s"), 2),
    Figure("early", lambda sample: sample.extra.get("early")),
    Figure("polls", lambda sample: sample.extra.get("requests")),
    Figure("wall s", lambda sample: sample.wall_s if "early" in sample.extra else None, 1),
    Figure("core %", lambda sample: sample.extra.get("core_percent"), 1),
    Figure(
        "wall ms",
        lambda sample: sample.wall_s * 1e3 if "page_kb" in sample.extra or "update_kb" in sample.extra else None,
    ),
    Figure("page KB", lambda sample: sample.extra.get("page_kb")),
    Figure("update KB", lambda sample: sample.extra.get("update_kb"), 1),
    Figure("drawn ms", lambda sample: sample.extra.get("drawn_ms")),
    Figure("reads/h", lambda sample: sample.extra.get("reads_per_h")),
)


@dataclass(frozen=True)
class Slope:
    """What one more element costs when the fixed cost of a start is taken away: from the smallest size to the largest.

    Attributes:
      title: ends with the element.
      heading: the figure and its unit.
      suites: what the names of the suites begin with, which differ in size.
      size, of: of a sample.
    """

    title: str
    heading: str
    suites: str
    size: Callable[[Sample], float]
    of: Callable[[Sample], float]

    def lines(self, results: Sequence[Result]) -> list[tuple[str, float]]:
        """Of every case that was measured at both sizes: the median over the rounds."""
        sizes = [measured for suite, measured in results if suite.name.startswith(self.suites)]
        return self.between(sizes[0], sizes[-1]) if sizes else []

    def between(self, small: Sequence[Measured], large: Sequence[Measured]) -> list[tuple[str, float]]:
        """Of every case that was measured at both."""
        by_label = {case.label: case for case in small}
        lines = []
        for case in large:
            if case.label in by_label and self.size(case.samples[0]) > self.size(by_label[case.label].samples[0]):
                pairs = zip(case.samples, by_label[case.label].samples, strict=True)
                each = [(self.of(more) - self.of(few)) / (self.size(more) - self.size(few)) for more, few in pairs]
                lines.append((case.label, statistics.median(each)))
        return lines


SLOPES = {
    "one_more_profile_cpu_us": Slope(
        "one more profile", "CPU µs", "ingest_", lambda sample: sample.elements, lambda sample: sample.cpu_s * 1e6
    ),
    "one_more_item_cpu_us": Slope(
        "one more item", "CPU µs", "migrate_", lambda sample: sample.elements, lambda sample: sample.cpu_s * 1e6
    ),
    "one_more_known_document_bytes": Slope(
        "one more known document",
        "bytes",
        "listen_known_",
        lambda sample: sample.extra["documents"],
        lambda sample: sample.extra["held_mb"] * 1e6,
    ),
}


def rows(suite: Suite, measured: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells; columns that nobody has a figure for are left out."""
    figures = [figure for figure in FIGURES if any(case.median(figure.of) is not None for case in measured)]
    baseline = next((case for case in measured if case.label == suite.baseline), None)
    headings = [suite.elements, *(figure.heading for figure in figures)]
    if baseline:
        headings += ["CPU ×", "wall ×"]
    cells = []
    for case in measured:
        line = [case.label, *(_shown(case.median(figure.of), figure.digits) for figure in figures)]
        if baseline:
            line += [_ratio(case, baseline, lambda s: s.cpu_us), _ratio(case, baseline, lambda s: 1 / s.per_s)]
        cells.append(line)
    return headings, cells


def as_table(suite: Suite, measured: Sequence[Measured]) -> Table:
    """For a terminal."""
    headings, cells = rows(suite, measured)
    table = Table(title=f"{suite.title}, medians of {suite.rounds}", title_justify="left")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    for line in cells:
        table.add_row(*line)
    return table


def as_markdown(suite: Suite, measured: Sequence[Measured]) -> str:
    """For docs/benchmarks.md."""
    headings, cells = rows(suite, measured)
    alignment = ["---", *("---:" for _ in headings[1:])]
    lines = [f"| {' | '.join(line)} |" for line in (headings, alignment, *cells)]
    return "\n".join([f"### {suite.title[0].upper()}{suite.title[1:]}", "", *lines, ""])


def slopes_table(results: Sequence[Result], slope: Slope) -> Table | None:
    """What one more element costs; None where it was not measured at two sizes."""
    lines = slope.lines(results)
    table = Table(title=slope.title, title_justify="left")
    table.add_column(slope.title.split()[-1])
    table.add_column(slope.heading, justify="right")
    for label, value in lines:
        table.add_row(label, f"{value:,.0f}")
    return table if lines else None


def machine() -> dict[str, Any]:
    """Where and with what it was measured."""
    return {
        "measured_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in _PACKAGES},
    }


def save(results: Sequence[Result], command: str, started: dict[str, Any]) -> Path:
    """Writes latest.json and latest.md; returns where they are."""
    RESULTS.mkdir(exist_ok=True)
    suites = {
        suite.name: {
            "title": suite.title,
            "baseline": suite.baseline,
            "cases": [
                {
                    "label": case.label,
                    "case": case.case,
                    "arguments": {name: value for name, value in case.arguments.items() if name != "path"},
                    "medians": {figure.heading: case.median(figure.of) for figure in FIGURES},
                    "samples": [asdict(sample) for sample in case.samples],
                }
                for case in measured
            ],
        }
        for suite, measured in results
    }
    finished = machine()
    document = {"command": command, "started": started, "finished": finished, "suites": suites}
    packages = ", ".join(f"{name} {number}" for name, number in started["packages"].items())
    head = (
        f"`{command}` on {started['cores']} cores, Python {started['python']}, {packages}; load average "
        f"{started['load_average'][0]} before and {finished['load_average'][0]} after.\n"
    )
    slopes = {name: slope.lines(results) for name, slope in SLOPES.items()}
    document |= {name: dict(lines) for name, lines in slopes.items()}
    (RESULTS / "latest.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    parts = [head, *(as_markdown(suite, measured) for suite, measured in results)]
    for name, lines in slopes.items():
        if lines:
            title = SLOPES[name].title
            shown = [f"| {label} | {value:,.0f} |" for label, value in lines]
            head_lines = [f"### {title[0].upper()}{title[1:]}", "", f"| | {SLOPES[name].heading} |", "|---|---:|"]
            parts.append("\n".join([*head_lines, *shown, ""]))
    (RESULTS / "latest.md").write_text("\n".join(parts))
    return RESULTS


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _ratio(case: Measured, baseline: Measured, figure: Callable[[Sample], float]) -> str:
    """The median of the rounds' ratios: both were run in the same round, minutes apart at the most."""
    pairs = zip(case.samples, baseline.samples, strict=True)
    return f"{statistics.median(figure(one) / figure(other) for one, other in pairs):.2f}"
