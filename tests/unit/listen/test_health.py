"""Every state of a stream, and every mixture of streams, as health sees them."""

import pytest

from tests.support.saved_streams import AT, ago, saved_stream
from transforms.ledger.streams import STATES
from transforms.listen.health import HealthLimits, Status, health_of

LIMITS = HealthLimits(silence_s=600, max_error_rate=0.05)

FRESH = {
    "starting": ("healthy", True),
    "comparing": ("healthy", True),
    "catching up": ("healthy", True),
    "live": ("healthy", True),
    "paused": ("healthy", True),
    "reconnecting": ("healthy", False),
    "degraded": ("degraded", True),
    "failed": ("unhealthy", False),
    "stopped": ("unhealthy", False),
}


def one(**stream):
    return health_of([saved_stream(**stream)], AT, LIMITS).streams[0]


def test_the_table_has_every_state():
    assert FRESH.keys() == set(STATES)


@pytest.mark.parametrize("state", STATES)
def test_a_stream_with_a_heartbeat(state):
    health = one(state=state)
    assert (health.status.value, health.is_active) == FRESH[state]


@pytest.mark.parametrize("state", STATES)
def test_a_stream_without_a_heartbeat_is_not_healthy_whatever_it_said_last(state):
    assert one(state=state, heartbeat_s=601).status is Status.UNHEALTHY
    assert not one(state=state, heartbeat_s=601).is_active


@pytest.mark.parametrize("state", [state for state in STATES if state not in ("failed", "stopped")])
def test_a_stream_whose_changes_are_refused_is_not_healthy(state):
    assert one(state=state, error_rate=0.05).status.value == FRESH[state][0]
    health = one(state=state, error_rate=0.06)
    assert health.status is Status.UNHEALTHY
    assert health.reason == "6.0 % of its changes in the last five minutes became dead letters, more than 5.0 %"


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        ({"heartbeat_s": 601}, "no heartbeat for 601 s; its process may be gone or stuck"),
        ({"heartbeat_s": None, "owned_s": 601}, "no heartbeat for 601 s; its process may be gone or stuck"),
        (
            {"state": "reconnecting", "state_s": 601, "reason": "UNAVAILABLE: try later"},
            "not connected for 601 s: UNAVAILABLE: try later",
        ),
        ({"state": "failed", "reason": "no index"}, "no index"),
        ({"state": "stopped"}, "nobody listens; run the same `firebeam listen` again"),
    ],
)
def test_what_is_wrong_is_said(stream, reason):
    health = one(**stream)
    assert (health.status, health.reason) == (Status.UNHEALTHY, reason)


@pytest.mark.parametrize(
    "stream",
    [
        {"heartbeat_s": 600},
        {"heartbeat_s": None, "owned_s": 600},
        {"heartbeat_s": 10_000, "owned_s": 5},  # a heartbeat of the run before
        {"state": "reconnecting", "state_s": 600},
        {"last_change_at": ago(1_000_000)},  # a weekly candle
    ],
)
def test_what_is_not_wrong_yet(stream):
    assert one(**stream).status is Status.HEALTHY


@pytest.mark.parametrize(
    ("states", "overall", "n_active"),
    [
        (["live", "comparing"], "healthy", 2),
        (["live", "failed"], "partial", 1),
        (["live", "degraded"], "partial", 2),
        (["degraded"], "partial", 1),
        (["degraded", "failed"], "partial", 1),
        (["failed", "failed"], "unhealthy", 0),
        (["live", "stopped"], "healthy", 1),
        (["failed", "stopped"], "unhealthy", 0),
        (["stopped", "stopped"], "unhealthy", 0),
        (["live", "reconnecting"], "healthy", 1),
        ([], "unhealthy", 0),
    ],
)
def test_all_streams_together(states, overall, n_active):
    health = health_of([saved_stream(f"s{n}", state) for n, state in enumerate(states)], AT, LIMITS)
    assert (health.overall.value, health.n_active) == (overall, n_active)


def test_health_as_a_program_reads_it():
    streams = [saved_stream("users"), saved_stream("posts", "failed", "no index", heartbeat_s=None)]
    shown = health_of(streams, AT, LIMITS).as_dict()
    assert {key: shown[key] for key in ("overall_status", "active_streams", "total_streams", "checked_at")} == {
        "overall_status": "partial",
        "active_streams": 1,
        "total_streams": 2,
        "checked_at": "2026-01-01T12:00:00+00:00",
    }
    assert shown["stream_health"]["users"] == {
        "status": "healthy",
        "state": "live",
        "reason": "",
        "since": "2026-01-01T11:58:20+00:00",
        "heartbeat_age_s": 1.0,
        "lag_s": 0.5,
        "changes_per_min": 12.0,
        "error_rate_5m": 0.0,
        "buffered": 3,
        "optimizations_applied": ["batches of up to 300 changes"],
    }
    assert shown["stream_health"]["posts"]["reason"] == "no index"
    assert shown["stream_health"]["posts"]["heartbeat_age_s"] is None


def test_streams_of_several_jobs_are_told_apart():
    streams = [saved_stream(job_id="a"), saved_stream(job_id="b")]
    assert list(health_of(streams, AT, LIMITS).as_dict()["stream_health"]) == ["a:users", "b:users"]
