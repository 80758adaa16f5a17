"""firebeam listen --streams=candles while candles are written and deleted: none is missed when connections are cut."""

import pytest

from tests.support.disturbed_listener import CandleListener, check_cuts

pytestmark = pytest.mark.emulator


def test_a_listener_whose_connections_are_cut_finds_its_way_back(desk):
    check_cuts(desk, seed=2, cuts=2)


def test_of_a_thousand_candles_the_incomplete_ones_are_never_seen(desk):
    listener = CandleListener(desk)
    traffic = listener.traffic
    traffic.store(traffic.market.history(460))
    traffic.store(traffic.market.next_write() for _ in range(400))
    assert listener.once() == 0
    traffic.store(traffic.market.next_write() for _ in range(200))
    assert listener.once() == 0
    assert len({write.path for write in traffic.written}) >= 1_000
    assert any(write.fields and not write.fields["complete"] for write in traffic.written)
    listener.check()
