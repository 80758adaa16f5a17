"""What a spec says beside a cleaner: units of Unix times, order of dates, decimal comma, placeholders."""

import datetime
import pickle

import pytest

from tests.unit.records.test_spec_flatten import flat, spec_of
from transforms.records.spec import FieldTally, load_spec

UTC = datetime.timezone.utc


def day(year, month, date, *time):
    return datetime.datetime(year, month, date, *time, tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("ms", 63072000000, day(1972, 1, 1)),
        ("s", 63072000, day(1972, 1, 1)),
        ("us", 63072000000000, day(1972, 1, 1)),
        ("ns", "63072000000000000", day(1972, 1, 1)),
        ("ms", 0, day(1970, 1, 1)),
        ("s", -1, day(1969, 12, 31, 23, 59, 59)),
        ("ms", -86_400_000, day(1969, 12, 31)),
        ("s", 253402300799, day(9999, 12, 31, 23, 59, 59)),
        ("s", 253402300800, None),
        ("ms", "2025-10-05", day(2025, 10, 5)),
        ("ms", "soon", None),
        ("auto", 63072000000, day(1972, 1, 1)),
        ("auto", 1759665600, day(2025, 10, 5, 12)),
        ("auto", 0, None),
        ("auto", 42, None),
    ],
)
def test_unix_times_are_in_the_unit_that_the_spec_says(unit, value, expected):
    assert flat(f"born: {{type: timestamp, from: b, unit: {unit}}}", {"b": value}).get("born") == expected


def of_batch(spec, values):
    """The times of a batch of records, and how many could not be placed."""
    records = [{"b": value} for value in values]
    tally = FieldTally()
    decided = pickle.loads(pickle.dumps(spec.in_units(spec.units_of(records))))
    times = [decided.flatten(record, "k", tally).get("born") for record in records]
    return times, tally.counts().get("born", (0, 0))[1]


AUTO = "born: {type: timestamp, from: [a, b]}"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Births in milliseconds; the one of January 1970 is too near to seconds to be told.
        ([63072000000, 946684800000, 86_400_000], [day(1972, 1, 1), day(2000, 1, 1), None]),
        ([946684800, 1759665600, 86_400], [day(2000, 1, 1), day(2025, 10, 5, 12), day(1970, 1, 2)]),
        # What most say decides; what says otherwise is not guessed at.
        ([946684800, 1759665600, 1759665600000], [day(2000, 1, 1), day(2025, 10, 5, 12), None]),
        ([946684800000, 1759665600000, 1759665600], [day(2000, 1, 1), day(2025, 10, 5, 12), None]),
        ([946684800, 1759665600, 253402300799], [day(2000, 1, 1), day(2025, 10, 5, 12), None]),
        ([946684800, 0, "2025-10-05", None], [day(2000, 1, 1), None, day(2025, 10, 5), None]),
        ([1, 2, 3], [None, None, None]),
        ([], []),
    ],
)
def test_auto_decides_for_all_of_a_batch_and_never_shifts_a_single_value(values, expected):
    times, uncleaned = of_batch(spec_of(AUTO), values)
    assert times == expected
    assert uncleaned == sum(time is None and value is not None for time, value in zip(expected, values, strict=True))


def test_every_source_has_a_unit_of_its_own():
    spec = spec_of("t: {type: timestamp, from: [a, b]}")
    records = [{"a": 1759665600}, {"b": 1759665600000}, {"b": 63072000000}, {"a": 86_400}]
    decided = spec.in_units(spec.units_of(records))
    assert [decided.flatten(record, "k").get("t") for record in records] == [
        day(2025, 10, 5, 12), day(2025, 10, 5, 12), day(1972, 1, 1), day(1970, 1, 2),
    ]  # fmt: skip


def test_a_spec_that_leaves_nothing_open_needs_no_look_at_the_batch():
    spec = spec_of("t: {type: timestamp, from: a, unit: ms}\nn: {type: number, from: n}")
    units = spec.units_of(iter([{"a": 1}]))
    assert units == ()
    assert spec.in_units(units) is spec


def test_an_id_is_made_of_the_same_time_as_the_field():
    head = "name: a\nschema_version: 1\nfull_collection: f\nflat_collection: c\n"
    spec = load_spec(
        f"{head}key: {{name: k, template: 'x{{t}}'}}\nfields: {{t: {{type: timestamp, from: t}}}}\n", "a.yaml"
    )
    records = [{"t": 946684800}, {"t": 946684801}, {"t": 86_400}]
    decided = spec.in_units(spec.units_of(records))
    assert decided.key_of(records[2], None) == "x19700102T000000Z"
    assert decided == spec


@pytest.mark.parametrize(
    ("order", "text", "expected"),
    [
        ("dmy", "05/10/2025", day(2025, 10, 5)),
        ("mdy", "05/10/2025", day(2025, 5, 10)),
        ("dmy", "5.10.2025", day(2025, 10, 5)),
        ("dmy", "05-10-2025 12:30", day(2025, 10, 5, 12, 30)),
        ("dmy", "05/10/2025T12:30:15+02:00", day(2025, 10, 5, 10, 30, 15)),
        ("mdy", "10/31/2025", day(2025, 10, 31)),
        ("dmy", "10/31/2025", None),
        ("dmy", "05/10/25", None),
        ("dmy", "05/10.2025", None),
        ("dmy", "2025-10-05", day(2025, 10, 5)),
        ("mdy", "2025/10/05", day(2025, 10, 5)),
    ],
)
def test_dates_in_figures_are_read_in_the_order_that_the_spec_says(order, text, expected):
    field = f"day: {{type: timestamp, from: [{{path: d, date_order: {order}}}]}}"
    assert flat(field, {"d": text}).get("day") == expected


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("number", "9,99", 9.99), ("number", "1.234,56", 1234.56), ("number", "1.234", 1234.0),
        ("number", "-0,5", -0.5),
        ("number", "1\u00a0234,5", 1234.5), ("number", "1'234,5", 1234.5), ("number", "1,5e3", 1500.0),
        ("number", "9.99", None), ("number", "1,234.56", None), ("number", "1.23,4", None),
        ("number", "9,99 EUR", None),
        ("number", 9.99, 9.99), ("number", "12", 12.0), ("number", "", None),
        ("integer", "1.024", 1024), ("integer", "9.223.372.036.854.775.807", 2**63 - 1), ("integer", "3,0", 3),
        ("integer", "3,5", None), ("integer", 7, 7),
    ],
)  # fmt: skip
def test_with_a_decimal_comma_points_group_thousands(kind, value, expected):
    assert flat(f"n: {{type: {kind}, from: n, decimal: comma}}", {"n": value}).get("n") == expected


def test_shares_have_a_decimal_comma_too():
    field = "n: {type: number, cleaner: fraction, from: n, decimal: comma}"
    assert [flat(field, {"n": value}).get("n") for value in ("87,5%", "0,87", "87,5 %", "35/40", "87.5%")] == [
        0.875, 0.87, 0.875, 0.875, None,
    ]  # fmt: skip


@pytest.mark.parametrize("cleaner", ["string", "symbol"])
def test_placeholders_can_be_turned_off_and_blanks_stay_missing(cleaner):
    field = f"n: {{type: string, cleaner: {cleaner}, from: [{{path: n, placeholders: false}}, m]}}"
    assert flat(field, {"n": "Null"}).get("n").casefold() == "null"
    assert flat(field, {"n": "NA"}) == {"n": "NA"}
    assert flat(field, {"n": "-"}) == {"n": "-"}
    assert flat(field, {"n": "  ", "m": "N/A"}) == {}


def test_lists_keep_placeholders_where_they_are_turned_off():
    field = "n: {type: strings, from: n, placeholders: false}"
    assert flat(field, {"n": ["NA", "", None, "none", "DE"]}) == {"n": ["NA", "none", "DE"]}


def test_a_source_can_say_otherwise_than_its_field():
    field = "n: {type: number, from: [{path: a, decimal: point}, b], decimal: comma}"
    assert flat(field, {"a": "9.99"}) == {"n": 9.99}
    assert flat(field, {"b": "9,99"}) == {"n": 9.99}
