"""The made-up market: candles that the record spec takes, and everything that can happen to one."""

import itertools

import pytest

from pipeline.demos.market import CLOSED, DELETED, KINDS, Market, candle_seconds
from pipeline.specs import read_spec
from transforms.errors import UsageError
from transforms.records.spec import Origin

COLLECTIONS = {"candles/EUR_USD/H1": 3_600, "candles/USD_JPY/D": 86_400}


def writes_of(market, n=2_000):
    return [*market.history(5), *(market.next_write() for _ in range(n)), *market.close()]


def test_one_seed_makes_one_market():
    assert writes_of(Market(COLLECTIONS, seed=1)) == writes_of(Market(COLLECTIONS, seed=1))
    assert writes_of(Market(COLLECTIONS, seed=1)) != writes_of(Market(COLLECTIONS, seed=2))


def test_everything_happens_in_every_collection():
    found = {(write.path.rpartition("/")[0], write.kind) for write in writes_of(Market(COLLECTIONS))}
    assert found == set(itertools.product(COLLECTIONS, KINDS))


def test_every_candle_is_one_that_the_record_spec_takes():
    spec = read_spec("candles")
    for write in writes_of(Market(COLLECTIONS)):
        if write.fields is not None:
            _, instrument, granularity, time = write.path.split("/")
            origin = Origin(time, {"instrument": instrument, "granularity": granularity})
            spec.flatten(spec.with_origin(write.fields, origin), time)


def test_when_the_market_closes_no_candle_is_open():
    stored = {}
    for write in writes_of(Market(COLLECTIONS)):
        if write.kind == DELETED:
            del stored[write.path]
        else:
            assert write.fields["complete"] or write.kind != CLOSED
            stored[write.path] = write.fields
    assert {fields["complete"] for fields in stored.values()} == {True}


@pytest.mark.parametrize("text", ["H", "M15", "D", "W2"])
def test_a_length_of_candles_has_seconds(text):
    assert candle_seconds(text) > 0


@pytest.mark.parametrize("text", ["", "1H", "h1", "H0", "H-1", "X", "H1/H4"])
def test_what_is_not_a_length_of_candles_is_refused_with_examples(text):
    with pytest.raises(UsageError, match="is not a length of candles; use letters as in M1"):
        candle_seconds(text)
