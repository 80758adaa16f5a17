"""What a scrape gets: names, labels, values, and nothing that is not known."""

import re

from pipeline.present.prometheus import metrics
from tests.support.saved_streams import AT, saved_stream
from transforms.listen.health import HealthLimits, health_of

LINE = re.compile(r'[a-z_]+(\{([a-z_]+="([^"\\\n]|\\.)*",?)+\})? -?[0-9.e+-]+')


def scraped(*streams):
    return metrics(health_of(streams, AT, HealthLimits())).splitlines()


def test_every_line_is_a_comment_or_a_sample_and_every_metric_is_declared_once_before_its_samples():
    lines = scraped(saved_stream("users"), saved_stream('candles "EUR"\\\n'))
    declared = None
    seen = []
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, declared, kind = line.split(" ")
            assert kind == ("counter" if declared.endswith("_total") else "gauge")
            seen.append(declared)
        elif not line.startswith("# HELP "):
            assert LINE.fullmatch(line), line
            assert re.match(r"[a-z_]+", line)[0] == declared
    assert len(seen) == len(set(seen)) == 20


def test_what_a_stream_counts_and_how_it_is():
    counts = {"written": 7, "unchanged": 1, "dead_letter_count": 2, "added": 10, "bytes_read": 1000}
    lines = scraped(
        saved_stream(counts=counts, rates={"changes_per_min": 1.5, "limit_per_min": 500, "error_rate_5m": 0.2})
    )
    of = '{job_id="listen-1",stream="users"'
    for line in [
        f"firebeam_stream_healthy{of}}} 1",
        f'firebeam_stream_state{of},state="live"}} 1',
        f'firebeam_stream_state{of},state="paused"}} 0',
        f'firebeam_stream_changes{of},outcome="written"}} 7',
        f'firebeam_stream_changes{of},outcome="dead_letters"}} 2',
        f'firebeam_stream_changes_by_kind_total{of},kind="added"}} 10',
        f"firebeam_stream_read_bytes_total{of}}} 1000",
        f"firebeam_stream_changes_per_minute{of}}} 1.5",
        f"firebeam_stream_limit_per_minute{of}}} 500",
        f"firebeam_stream_error_ratio{of}}} 0.2",
        f"firebeam_stream_lag_seconds{of}}} 0.5",
        f"firebeam_stream_heartbeat_age_seconds{of}}} 1",
        f'firebeam_stream_latency_seconds{of},quantile="0.5"}} 0.004',
        f"firebeam_stream_buffered_changes{of}}} 3",
        f"firebeam_stream_backpressure_events_total{of}}} 2",
        "firebeam_streams 1",
        "firebeam_streams_active 1",
        'firebeam_health{overall_status="healthy"} 1',
        'firebeam_health{overall_status="unhealthy"} 0',
    ]:
        assert line in lines, line


def test_what_is_not_known_is_left_out():
    lines = scraped(saved_stream(heartbeat_s=None, lag_s=None))
    samples = [line.partition("{")[0] for line in lines if not line.startswith("#")]
    assert not {"firebeam_stream_lag_seconds", "firebeam_stream_limit_per_minute"} & set(samples)
    assert "firebeam_stream_heartbeat_age_seconds" not in samples
    assert samples.count("firebeam_stream_latency_seconds") == 1
