"""Streams of changes as Prometheus reads them: its text format, version 0.0.4.

    firebeam_stream_lag_seconds{job_id="listen-1",stream="users"} 0.4

Source: https://prometheus.io/docs/instrumenting/exposition_formats/. Every metric is declared once, in _METRICS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from transforms.counters import BYTES_READ, Role
from transforms.ledger.streams import STATES, SavedStream
from transforms.listen.counters import ADDED, CHANGES, MODIFIED, REMOVED
from transforms.listen.health import Health, Status, StreamHealth

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STATUSES = (Status.HEALTHY, Status.PARTIAL, Status.UNHEALTHY)
_OUTCOMES = {counter.key: counter.name for counter in CHANGES.all if counter.role is Role.PART}
_KINDS = {kind: kind for kind in (ADDED, MODIFIED, REMOVED)}

Labels = Mapping[str, str]
# Values of one stream, each with the labels it has beside those of the stream; None for unknown.
_Values = Callable[[StreamHealth], list[tuple[Labels, float | None]]]


class _Metric(NamedTuple):
    name: str
    kind: str
    help: str
    values: _Values


def _count(name: str) -> _Values:
    return lambda each: [({}, each.stream.counts.get(name, 0))]


def _counts(label: str, names: Mapping[str, str]) -> _Values:
    return lambda each: [({label: shown}, each.stream.counts.get(name, 0)) for shown, name in names.items()]


def _field(*path: str, scale: float = 1.0) -> _Values:
    def values(each: StreamHealth) -> list[tuple[Labels, float | None]]:
        value: Any = each.stream.fields
        for name in path:
            value = value[name]
        return [({}, None if value is None else value * scale)]

    return values


def _latency(each: StreamHealth) -> list[tuple[Labels, float | None]]:
    latency = each.stream.fields["latency"]
    found = (("0.5", latency["p50_ms"]), ("0.99", latency["p99_ms"]))
    return [({"quantile": quantile}, None if ms is None else ms / 1000) for quantile, ms in found]


_METRICS = (
    _Metric(
        "stream_healthy", "gauge", "1 for a stream that is healthy", lambda each: [({}, each.status is Status.HEALTHY)]
    ),
    _Metric(
        "stream_state",
        "gauge",
        "1 for the state that the stream is in",
        lambda each: [({"state": state}, state == each.stream.state) for state in STATES],
    ),
    # Not a counter: a dead letter that lands later is a written change from then on.
    _Metric("stream_changes", "gauge", "Changes, by what became of them", _counts("outcome", _OUTCOMES)),
    _Metric("stream_changes_by_kind_total", "counter", "Changes, by kind", _counts("kind", _KINDS)),
    _Metric("stream_read_bytes_total", "counter", "Bytes of the documents", _count(BYTES_READ)),
    _Metric("stream_retries_total", "counter", "Requests sent again", _count("retries")),
    _Metric("stream_changes_per_minute", "gauge", "Changes of the last minute", _field("rates", "changes_per_min")),
    _Metric("stream_limit_per_minute", "gauge", "Its own rate, where it has one", _field("rates", "limit_per_min")),
    _Metric("stream_error_ratio", "gauge", "Share refused in the last five minutes", _field("rates", "error_rate_5m")),
    _Metric("stream_lag_seconds", "gauge", "How far it is behind the database", _field("lag_s")),
    _Metric(
        "stream_heartbeat_age_seconds", "gauge", "Since it was heard of", lambda each: [({}, each.heartbeat_age_s)]
    ),
    _Metric("stream_latency_seconds", "gauge", "From commit until every sink has answered", _latency),
    _Metric("stream_buffered_changes", "gauge", "Changes that wait for the sinks", _field("buffered")),
    _Metric("stream_backpressure_events_total", "counter", "Times it stopped reading", _field("backpressure_events")),
    _Metric("stream_reconnects_total", "counter", "Times it was cut", _field("reconnects")),
    _Metric("stream_restarts_total", "counter", "Times it was opened anew", _field("restarts")),
    _Metric("stream_compares_total", "counter", "Times it compared two states", _field("compares")),
)


def metrics(health: Health) -> str:
    """The text that a scrape gets."""
    return "".join(f"{line}\n" for line in _lines(health))


def _lines(health: Health) -> Iterator[str]:
    for metric in _METRICS:
        name = f"firebeam_{metric.name}"
        yield f"# HELP {name} {metric.help}"
        yield f"# TYPE {name} {metric.kind}"
        for each in health.streams:
            for labels, value in metric.values(each):
                if value is not None:
                    yield f"{name}{_shown({**_labels(each.stream), **labels})} {_number(value)}"
    yield "# HELP firebeam_streams How many streams there are"
    yield "# TYPE firebeam_streams gauge"
    yield f"firebeam_streams {len(health.streams)}"
    yield "# HELP firebeam_streams_active How many of them listen"
    yield "# TYPE firebeam_streams_active gauge"
    yield f"firebeam_streams_active {health.n_active}"
    yield "# HELP firebeam_health 1 for how all streams are together"
    yield "# TYPE firebeam_health gauge"
    for status in _STATUSES:
        yield f"firebeam_health{_shown({'overall_status': status.value})} {_number(health.overall is status)}"


def _labels(stream: SavedStream) -> Labels:
    return {"job_id": stream.job_id, "stream": stream.stream_id}


def _shown(labels: Labels) -> str:
    """
    >>> _shown({"stream": 'a "b"\\n'})
    '{stream="a \\\\"b\\\\"\\\\n"}'
    """
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """
    >>> _number(True), _number(3), _number(0.25), _number(2.0)
    ('1', '3', '0.25', '2')
    """
    return f"{int(value)}" if value == int(value) else repr(float(value))
