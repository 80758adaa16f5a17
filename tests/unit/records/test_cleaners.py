"""What each cleaner makes of a value, as tables, and the laws all of them keep."""

import datetime
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.records.cleaners import FieldType, cleaners_of
from transforms.records.levels import LEVELS
from transforms.records.skill_tables import shipped_skill_table

CLEANERS = cleaners_of(shipped_skill_table())
UTC = datetime.timezone.utc
NOON = datetime.datetime(2025, 10, 5, 12, 0, tzinfo=UTC)

NOTHING = [None, "", "   ", "Unknown", "N/A", "n/a.", "not specified", "-", "—", "(none)", "NULL", "various"]

TABLE = {
    "string": [
        ("  Ada \n Lovelace ", "Ada Lovelace"), ("A\u030a", "Å"), (42, "42"), ("Nadia", "Nadia"),
        ("Noneware", "Noneware"),
        (True, None), (4.5, None), (["a"], None), ({}, None), ("\ud800", None), ("a\udfffb", None), (10**30, None),
        *((text, None) for text in NOTHING),
    ],
    "symbol": [
        ("btc/usdt", "BTC-USDT"), (" Brk.b ", "BRK.B"), ("ｅｔｈ", "ETH"), ("BTC USD", "BTCUSD"), (None, None),
        ("-", None),
    ],
    "integer": [
        (3, 3), (3.0, 3), ("3", 3), (" 1,024 ", 1024), ("+7", 7), ("-7", -7), ("3.0", 3), (2**63 - 1, 2**63 - 1),
        ("9223372036854775807", 2**63 - 1), (2**63, None), (3.5, None), ("3.5", None), (True, None), (math.nan, None),
        (math.inf, None), ("12 kg", None), ("1,2,3", None), (Decimal(5), 5), ("9" * 5000, None),
    ],
    "number": [
        (1.5, 1.5), (2, 2.0), ("1,234.5", 1234.5), ("-3e2", -300.0), ("٣", None), ("1e999", None), ("nan", None),
        ("inf", None), (math.nan, None), (math.inf, None), (False, None), ("1_000", None),
        ("", None),
        (Decimal("0.25"), 0.25), (Decimal("sNaN"), None), ([1], None),
    ],
    "years": [
        (8, 8.0), ("8", 8.0), ("8+ years", 8.0), ("8+", 8.0), ("5-7 years", 6.0), ("5–7 yrs", 6.0), ("5 to 7", 6.0),
        ("over ten years", 10.0), ("more than 10 years", 10.0), ("~ 8 years", 8.0), (">10", 10.0), ("18 months", 1.5),
        ("2 years 6 months", 2.5), ("2 years and 6 months", 2.5), ("a decade", 10.0), ("over two decades", 20.0),
        ("8 years of experience", 8.0), ("7,5 Jahre", 7.5), ("8 anos", 8.0), ("one year", 1.0),
        ("5 or more years", 5.0), (0, 0.0), ("0", 0.0),
        (80, 80.0), (81, None), ("85 years", None), (-1, None), ("-5 years", None), ("-5", None), ("7-5 years", None),
        (1999, None), ("since 2015", None), ("2015-2020", None), ("many", None), (True, None), (math.nan, None),
        ("x" * 5000, None), ([8], None), ("Unknown", None),
    ],
    "year_span": [
        ([{"first_used": "2012", "last_used": "2019"}, {"first_used": 2014}], 7.0), (["2012-2015", "2016"], 4.0),
        (["2012", "present"], None), (["2023"], None), ([], None), ("2012-2015", None),
        ([None, True, 12, "1812"], None),
    ],
    "rating": [
        ("4.5/5", 4.5), (87, 4.35), ("87%", 4.35), ("A-", 4.63), (4, 4.0), ("4", 4.0), ("4,5", 4.5), ("9/10", 4.5),
        ("87/100", 4.35), ("4.5 out of 5", 4.5), ("4.5 stars", 4.5), ("★★★★☆", 4.0), (8, 4.0), (5, 5.0), (5.5, 2.75),
        (100, 5.0), (0, 0.0), ("A+", 5.0), ("B+", 4.13), ("b", 3.75), ("F", 0.0), ("Excellent", 4.5), ("GOOD", 3.5),
        ("Strong candidate", 4.0), ("very good", 4.0), ("Average", 3.0), ("below average", 2.0), ("poor", 1.0),
        ("not good", None), ("6/5", None), ("4/0", None), (101, None), (-1, None), ("-1", None), (True, None),
        (math.nan, None), ("Hire", None), ("Unknown", None), ("120%", None), ({}, None), ("1,000", None),
    ],
    "fraction": [
        (0.606, 0.606), (60.6, 0.606), ("60.6 %", 0.606), ("0.5", 0.5), (1, 1.0), (0, 0.0), ("87/100", 0.87),
        (87, 0.87),
        ("1%", 0.01), (100, 1.0), (101, None), (-0.1, None), ("High", None), (True, None), ("150%", None),
        ("5/0", None),
    ],
    "organisation": [
        ("Pixel & Pine", "Pixel & Pine"), ("  Banco   Aurora ", "Banco Aurora"), ("Berlin Systems", "Berlin Systems"),
        ("May & Baker", "May & Baker"), ("August Home", "August Home"), ("US Bank", "US Bank"), ("1&1", "1&1"),
        ("dezembro de", None), ("Março de 2020", None), ("Dec. 2019", None), ("2019", None), ("08/2021", None),
        ("Remote", None), ("Trabalho remoto", None), ("Home Office", None), ("Remote (US)", None), ("atual", None),
        ("Porto", None), ("Berlin, Germany", None), ("São Paulo - SP", None), ("São Paulo/SP, Brasil", None),
        ("Greater London Area", None), ("Portugal", None), ("N/A", None), ("", None), (None, None),
        (["Remote", "Vela Telecom", "Atlas"], "Vela Telecom"), (["Porto", 7, {}], None), ([], None), (7, None),
    ],
    "level": [
        ("Mid-Senior", "senior"), ("Tech Lead", "lead"), ("VP of Engineering", "vp"),
        ("Vice President Of Engineering", "vp"),
        ("Staff Software Engineer", "staff"), ("Senior Staff Software Engineer", "staff"), ("Director", "director"),
        ("Head of Mobile", "director"), ("Intern", "intern"), ("Software Engineering Intern", "intern"),
        ("Student", "intern"),
        ("Estagiário Desenvolvimento Java", "intern"), ("Entry-Level", "junior"), ("Engenheiro Jr", "junior"),
        ("Júnior", "junior"), ("Mid-Level", "mid"), ("Mid-level Manager", "manager"), ("Pleno", "mid"),
        ("Senior", "senior"),
        ("Engenheiro De Software Sênior", "senior"), ("Software Engineer III", "senior"),
        ("Software Engineer II", "mid"),
        ("Software Engineer I", "junior"), ("Engineer IV", "staff"), ("Software Engineer", "mid"),
        ("Principal", "principal"),
        ("Senior technical lead", "lead"), ("Tech Manager", "manager"), ("Gerente De Engenharia", "manager"),
        ("Chief Technology Officer", "executive"), ("CTO & Co-Founder", "executive"),
        ("Senior Leadership", "executive"),
        ("Semi-Senior Developer", "mid"), ("Software Architect", "senior"), ("Member of Technical Staff", "mid"),
        ("Account Executive", None), ("Individual Contributor", None), ("Academic", None),
        ("Formação Acadêmica", None),
        ("Unknown", None), ("international", None), ("leading-edge", None), (5, None), (True, None),
        (["Senior"], None),
        ("Somebody who has been senior in very many places and who says so in prose too", None),
        ("senior " * 100, None),
    ],
    "bool": [
        (True, True), (False, False), ("true", True), (" YES ", True), ("no", False), ("0", False), (1, True),
        (0, False),
        (1.0, True), (2, None), ("perhaps", None), ("", None), (None, None), (math.nan, None), ([], None),
    ],
    "timestamp": [
        ("2025-10-05T12:00:00Z", NOON), ("2025-10-05T14:00:00+02:00", NOON), ("2025-10-05 12:00", NOON),
        ("2025-10-05T12:00:00.123456789", NOON.replace(microsecond=123456)), ("2025-10-05", NOON.replace(hour=0)),
        (1759665600, NOON), ("1759665600", NOON), (1759665600000, NOON), (1759665600000000, NOON),
        (1759665600 * 10**9, NOON), (1759665600.5, NOON.replace(microsecond=500000)),
        (datetime.date(2025, 10, 5), NOON.replace(hour=0)),
        (datetime.datetime(2025, 10, 5, 12), NOON), ("2025-02-30", None), ("0001-01-01T00:00+10:00", None),
        ("2025-10-05T12:00:00+99:00", None), ("05.10.2025", None), ("05/10/2025", None), (42, None), (0, None),
        ("2025/10/05", NOON.replace(hour=0)), ("2025.10.05 12:00", NOON), ("2025/10.05", None),
        (63072000000, datetime.datetime(1972, 1, 1, tzinfo=UTC)), (-1e9, datetime.datetime(1938, 4, 24, 22, 13, 20,
         tzinfo=UTC)), (-1e10, datetime.datetime(1969, 9, 7, 6, 13, 20, tzinfo=UTC)), (1e19, None),
        ("yesterday", None), (True, None), (math.nan, None),
    ],
    "strings": [
        (["a", " a ", "", None, 7, "N/A", ["x"]], ["a", "7"]), ("one", ["one"]), ([], None), ([None], None),
        ({}, None),
    ],
    "keywords": [
        (["Machine Learning", "C++"], ["machine learning", "machine", "learning", "c++"]),
        ("Head of R&D, Acme Inc.", ["head", "r", "d", "acme", "inc"]), (["Node.js", ".NET"], ["node.js", ".net"]),
        ("佐藤 翼", ["佐藤", "翼"]), (["CI/CD"], ["ci/cd", "ci", "cd"]), ("the of", None), ([" "], None), (None, None),
    ],
    "json": [({"a": [1]}, {"a": [1]}), ({}, None), ("{}", None), ([1], None), ({1: 2}, None)],
}  # fmt: skip

json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(alphabet="0123456789+-./,% yearsA"),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(["skill", "name", "confidence"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [(name, *row) for name, rows in TABLE.items() for row in rows],
)
def test_cleaner_makes_what_the_table_says(name, value, expected):
    cleaned = CLEANERS[name].clean(value)
    assert cleaned == expected
    assert type(cleaned) is type(expected)


@pytest.mark.parametrize("name", sorted(CLEANERS))
def test_an_integer_beyond_all_bounds_is_nothing(name):
    assert CLEANERS[name].clean(10**5000) is None  # Python refuses to print it, and no double holds it


def test_every_cleaner_but_skills_has_a_table():
    assert set(TABLE) == set(CLEANERS) - {"skills"}


PYTHON_TYPES = {
    FieldType.STRING: str, FieldType.INTEGER: int, FieldType.NUMBER: float, FieldType.BOOL: bool,
    FieldType.TIMESTAMP: datetime.datetime, FieldType.STRINGS: list, FieldType.JSON: dict,
}  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(value=json_like)
def test_cleaners_never_raise_make_their_type_and_change_nothing_the_second_time(value):
    for name, cleaner in CLEANERS.items():
        once = cleaner.clean(value)
        if once is not None:
            assert type(once) is PYTHON_TYPES[cleaner.type], name
            assert once not in ("", [], {}), name
            assert cleaner.clean(once) == once, name


@settings(max_examples=200, deadline=None)
@given(number=st.floats() | st.integers())
def test_numbers_stay_within_their_bounds(number):
    for name, high in (("years", 80), ("rating", 5), ("fraction", 1)):
        made = CLEANERS[name].clean(number)
        assert made is None or 0 <= made <= high


@pytest.mark.parametrize("name", ["skills", "strings", "keywords"])
def test_deep_nesting_is_no_problem(name):
    value: object = "deep"
    for _ in range(100_000):
        value = [value]
    CLEANERS[name].clean(value)


@pytest.mark.parametrize("word", LEVELS)
def test_every_level_means_itself(word):
    assert CLEANERS["level"].clean(word) == word


def test_keywords_are_at_most_fifty():
    assert len(CLEANERS["keywords"].clean([f"word{index}" for index in range(200)])) == 50
