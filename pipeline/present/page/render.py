"""Makes HTML of the documents of `document.py`, in parts and rows that have names, so that open pages can be updated.

    document ──▶ Rendered ─┬─ page      with links to its files, for a server
                           ├─ file      with its files inside, to mail and to open without a server
                           └─ parts, rows, series: what `updates.py` compares

Texts of the ledger are escaped by the templates. Without JavaScript all numbers are there, in tables; plots are drawn
from those tables.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.present.page.assets import PLOT_STYLE_HASH, asset_text, asset_url
from pipeline.present.progress import duration

_NO_VALUE = "–"
# What a page may load and do: its own files, and the one style that the plots bring.
CONTENT_POLICY = (
    "default-src 'none'; "
    f"script-src 'self'; style-src 'self' '{PLOT_STYLE_HASH}'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SCRIPTS = ("d3.min.js", "plot.umd.min.js", "page.js")
_STYLE = "page.css"


@dataclass(frozen=True)
class Rendered:
    """A page in parts.

    Attributes:
      kind: job or jobs.
      title: of the page.
      document: that it was made of.
      parts: HTML by name of the part.
      rows: by name of the table, HTML by name of the row, in their order.
      series: numbers that plots are drawn from.
    """

    kind: str
    title: str
    document: Mapping[str, Any]
    parts: Mapping[str, str]
    rows: Mapping[str, Mapping[str, str]]
    series: Mapping[str, Any] = field(default_factory=dict)


def render_job(document: Mapping[str, Any]) -> Rendered:
    """A job's page in parts."""
    page, macros = document["page"], _template("job_parts.html").module
    batches, over = page["batches"], page["over_time"]
    names = ("headline", "counters", "batches", "rates", "latency", "dead_letters", "tokens", "streams", "results")
    parts = {name: str(getattr(macros, name)(document)).strip() for name in names}
    rows = {each["key"]: str(macros.batch_row(each, batches["at_provider"])).strip() for each in batches["shown"]}
    times = _times(over)
    time_rows = {str(ms): str(macros.time_row(ms, n, over)).strip() for n, ms in enumerate(times)}
    series = {
        **over,
        "from": times[0],
        "bars_from": _ms(batches["from"]),
        "until": _ms(batches["until"]),
        "max_spend_usd": page["spent"]["max_spend_usd"] if page["spent"] else None,
        "running": document["state"] == "running",
        "others": {**batches["others"], "from": _ms(batches["others"]["from"])} if batches["others"] else None,
    }
    title = f"{document['job_id']}: {document['state']}"
    return Rendered("job", title, document, parts, {"batches": rows, "over_time": time_rows}, series)


def render_jobs(document: Mapping[str, Any], state: str = "", name: str = "") -> Rendered:
    """The page of the recent jobs, of those with a state and with a name that contains a text."""
    shown = [
        each
        for each in document["jobs"]
        if (not state or each["state"] == state) and name.lower() in f"{each['job_id']} {each['job']}".lower()
    ]
    macros = _template("jobs_parts.html").module
    parts = {
        "summary": str(macros.summary(document, shown, state, name)).strip(),
        "followed": str(macros.followed(document)).strip(),
    }
    rows = {each["job_id"]: str(macros.job_row(each)).strip() for each in shown}
    series = {"state": state, "name": name}
    return Rendered("jobs", f"Jobs of {document['database']}", document, parts, {"jobs": rows}, series)


def page(rendered: Rendered, *, events_url: str, version: str) -> str:
    """A page of the server.

    Args:
      events_url: where updates come from.
      version: of the parts, which the page gives when it asks for updates.
    """
    return _html(rendered, events_url=events_url, version=version, inline=None, policy="")


def file(rendered: Rendered) -> str:
    """A page as one file, which needs nothing else."""
    scripts = [asset_text(name) for name in _SCRIPTS]
    style = asset_text(_STYLE)
    hashes = " ".join(f"'{_sha256(text)}'" for text in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src '{_sha256(style)}' '{PLOT_STYLE_HASH}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return _html(rendered, events_url="", version="", inline={"style": style, "scripts": scripts}, policy=policy)


def _html(rendered: Rendered, **more: Any) -> str:
    links = {"style": asset_url(_STYLE), "scripts": [asset_url(name) for name in _SCRIPTS]}
    series = json.dumps(rendered.series, separators=(",", ":")).replace("<", "\\u003c")
    return _template(f"{rendered.kind}.html").render(
        rendered=rendered, document=rendered.document, links=links, series=series, icon=_icon(), **more
    )


@functools.cache
def _environment() -> Any:
    import jinja2  # whoever does not look at a page waits for no templates

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.present.page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    filters = {
        "n": _number,
        "time": _time,
        "ms": _ms,
        "span": _span,
        "short": _short_seconds,
        "percent": _percent,
        "usd": _usd,
    }
    environment.filters |= filters
    return environment


@functools.cache
def _template(name: str) -> Any:
    return _environment().get_template(name)


@functools.cache
def _icon() -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(asset_text("icon.svg").encode()).decode()


def _times(over: Mapping[str, Any]) -> list[int]:
    first, width_ms = _ms(over["from"]), over["width_s"] * 1000
    return [first + n * width_ms for n in range(len(over["records_per_s"]))]


def _ms(iso: str | None) -> int:
    """
    >>> _ms("1970-01-01T00:00:01+00:00")
    1000
    """
    return round(datetime.datetime.fromisoformat(iso).timestamp() * 1000) if iso else 0


def _number(value: float | None) -> str:
    """
    >>> _number(31000), _number(0.25), _number(12.5), _number(480.4), _number(None)
    ('31,000', '0.25', '12.5', '480', '–')
    """
    if value is None:
        return _NO_VALUE
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _percent(share: float | None) -> str:
    """
    >>> _percent(0.625), _percent(None)
    ('62 %', '–')
    """
    return _NO_VALUE if share is None else f"{share:.0%}".replace("%", " %")


def _usd(amount: float | None) -> str:
    """
    >>> _usd(3.2149), _usd(0.00042), _usd(20), _usd(None)
    ('3.21 USD', '0.00042 USD', '20.00 USD', '–')
    """
    if amount is None:
        return _NO_VALUE
    return f"{amount:,.2f} USD" if amount >= 1 or not amount else f"{amount:.2g} USD"


def _time(at: str | int | None) -> str:
    """
    >>> _time("2026-01-01T12:00:00.5+00:00"), _time(1000), _time(None)
    ('2026-01-01 12:00:00', '1970-01-01 00:00:01', '–')
    """
    if at is None:
        return _NO_VALUE
    utc = datetime.timezone.utc
    moment = datetime.datetime.fromtimestamp(at / 1000, utc) if isinstance(at, int) else _moment(at).astimezone(utc)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _moment(iso: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(iso)


def _span(start: str | None, end: str | None) -> str:
    """How long from one time to another.

    >>> _span("2026-01-01T12:00:00+00:00", "2026-01-01T12:01:20+00:00"), _span(None, "")
    ('0:01:20', '–')
    """
    if not start or not end:
        return _NO_VALUE
    return _short_seconds((_moment(end) - _moment(start)).total_seconds())


def _short_seconds(seconds: float | None) -> str:
    """
    >>> _short_seconds(0.25), _short_seconds(12.34), _short_seconds(80), _short_seconds(None)
    ('250 ms', '12.3 s', '0:01:20', '–')
    """
    if seconds is None:
        return _NO_VALUE
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    return f"{seconds:.3g} s" if seconds < 60 else duration(seconds)


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
