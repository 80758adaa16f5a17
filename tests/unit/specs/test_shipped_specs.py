"""The specs that come with Firebeam, and how a spec is found."""

import datetime
import io
import pickle

import pytest
from apache_beam.io.localfilesystem import LocalFileSystem

from pipeline.specs import SPECS, read_spec
from transforms.errors import RecordError, SpecError, UsageError
from transforms.records.levels import LEVELS
from transforms.records.spec import Origin
from transforms.records.table import table_columns, table_options

UTC = datetime.timezone.utc
SHIPPED = [
    "candles", "profiles", "student_attempts", "student_competencies", "student_records", "student_reviews",
]  # fmt: skip
PLAIN = {
    "candidate_id": 1017,
    "name": "  Ada   Lovelace ",
    "career_trajectory": {
        "current_level": "Mid-Senior",
        "years_experience": "5-7 years",
        "domain_expertise": ["Fintech", "Payments"],
    },
    "current_position": {"title": "Tech Lead", "company": "Analytical Engines Ltd.", "team_size": "8"},
    "skill_assessment": {
        "technical_skills": {
            "core_competencies": [{"skill": "golang", "confidence": 0.9}, {"skill": "k8s", "score": 95}]
        },
        "overall_rating": "A-",
        "confidence": 87,
    },
    "leadership_scope": {"has_leadership": "yes"},
}


def test_each_shipped_spec_can_be_pickled_and_laid_out():
    assert SPECS.names() == SHIPPED
    for name in SPECS.names():
        spec = read_spec(name)
        assert spec.name == name
        assert pickle.loads(pickle.dumps(spec)) == spec
        table_options(spec, table_columns(spec))


def test_profiles_has_the_promised_collections_key_and_fields():
    spec = read_spec("profiles")
    assert (spec.full_collection, spec.flat_collection) == ("enriched_profiles", "candidates")
    assert [field.name for field in spec.fields] == [
        "candidate_id", "name", "current_role", "current_company", "years_experience", "experience_band",
        "seniority_level", "primary_skills", "domain", "overall_rating", "has_leadership", "team_size",
        "analysis_confidence", "search_keywords",
    ]  # fmt: skip


def test_profiles_allows_exactly_the_levels_that_the_cleaner_makes():
    [level] = [field for field in read_spec("profiles").fields if field.name == "seniority_level"]
    assert level.enum == LEVELS


def test_profiles_reads_the_plain_shape():
    spec = read_spec("profiles")
    assert spec.key_of(PLAIN, None) == "1017"
    assert spec.flatten(PLAIN, "1017") == {
        "candidate_id": "1017",
        "name": "Ada Lovelace",
        "current_role": "Tech Lead",
        "current_company": "Analytical Engines Ltd.",
        "years_experience": 6.0,
        "experience_band": "6-9",
        "seniority_level": "senior",
        "primary_skills": ["Kubernetes", "Go"],
        "domain": "Fintech",
        "overall_rating": 4.63,
        "has_leadership": True,
        "team_size": 8,
        "analysis_confidence": 0.87,
        "search_keywords": [
            "ada", "lovelace", "tech", "lead", "analytical", "engines", "ltd", "kubernetes", "go",
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("experience", "role", "company"),
    [
        ("- 2021/12 - current\nVela : Analyst\n\n- 2018/05 - 2021/11\nAtlas : Intern\n", "Analyst", "Vela"),
        ("- 2018/05 - 2021/11\nAtlas : Intern\n\n- 2021/12 - atual\nVela : Analyst\n", "Analyst", "Vela"),
        ("- 2021/12 -\n : Data Analyst\n\n- 2018/05 - 2021/11\nAtlas : Intern\n", "Data Analyst", None),
        ("- 2021/12 - heute\nVela Telecom : \n\n- 2018/05 - 2021/11\nAtlas : Intern\n", None, "Vela Telecom"),
        ("- 2021/12 - present\ndezembro de : Assistant\n\n- 2018/05 - 2021/11\nAtlas : Intern\n", "Assistant", None),
        ("- 2021/12 - present\nLisbon, Portugal : Assistant\n", "Assistant", None),
        ("- 2018/05 - 2021/11\nAtlas : Intern\n\n- 2022/01 - 2024/11\nVela Telecom : Lead\n", "Lead", "Vela Telecom"),
        ("- Vela Telecom : Lead\n- Atlas : Intern", "Lead", "Vela Telecom"),
        ("Lead at Vela since long ago", None, None),
    ],
)  # fmt: skip
def test_profiles_reads_the_present_job_of_a_work_history(experience, role, company):
    flat = read_spec("profiles").flatten({"original_data": {"experience": experience}}, "k")
    assert (flat.get("current_role"), flat.get("current_company")) == (role, company)


def test_profiles_leaves_out_what_a_record_does_not_say():
    record = {"name": "N/A", "current_role": "", "years_experience": "Unknown", "team_size": 0, "technical_skills": []}
    assert read_spec("profiles").flatten(record, "k") == {"candidate_id": "k"}


def test_candles_have_a_composed_id_and_typed_values():
    spec = read_spec("candles")
    candle = {
        "symbol": "btc/usdt",
        "interval": "1m",
        "t": 1759665600000,
        "o": "1.5",
        "h": 2,
        "l": 1,
        "c": "1.75",
        "v": 0,
    }
    key = spec.key_of(candle, None)
    assert key == "BTC-USDT_1m_20251005T120000Z"
    assert spec.flatten(candle, key) == {
        "candle_id": key, "symbol": "BTC-USDT", "interval": "1m", "open": 1.5, "high": 2.0, "low": 1.0, "close": 1.75,
        "volume": 0.0, "open_time": datetime.datetime(2025, 10, 5, 12, tzinfo=UTC),
    }  # fmt: skip


def test_a_candle_with_a_negative_price_is_refused():
    candle = {"symbol": "A", "interval": "1m", "t": 1759665600, "o": -1, "h": 2, "l": 1, "c": 1}
    with pytest.raises(RecordError, match=r"^OUT_OF_RANGE: open must be at least 0$"):
        read_spec("candles").flatten(candle, "k")


LISTENED = {
    "o": 1.0853, "h": 1.0861, "l": 1.0849, "c": 1.0857, "v": 1204, "ts": 1759665600, "bid": 1.0856, "ask": "1.0858",
    "complete": True,
}  # fmt: skip
WHERE = Origin("1759665600", {"instrument": "EUR_USD", "granularity": "H1"})


@pytest.mark.parametrize("ts", [1759665600, "1759665600", datetime.datetime(2025, 10, 5, 12, tzinfo=UTC), None])
def test_a_candle_of_a_listened_collection_is_named_by_its_path(ts):
    spec = read_spec("candles")
    candle = spec.with_origin({**LISTENED, "ts": ts}, WHERE)
    key = spec.key_of(candle, WHERE.id)
    assert key == "EUR_USD_H1_20251005T120000Z"
    assert spec.flatten(candle, key) == {
        "candle_id": key, "symbol": "EUR_USD", "interval": "H1", "open": 1.0853, "high": 1.0861, "low": 1.0849,
        "close": 1.0857, "volume": 1204.0, "bid": 1.0856, "ask": 1.0858, "complete": True,
        "open_time": datetime.datetime(2025, 10, 5, 12, tzinfo=UTC),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"l": 1.09}, "OUT_OF_ORDER: low must not exceed open"),
        ({"h": 1.0855}, "OUT_OF_ORDER: close must not exceed high"),
        ({"h": 1.0850, "c": 1.085}, "OUT_OF_ORDER: open must not exceed high"),
        ({"c": 1.0}, "OUT_OF_ORDER: low must not exceed close"),
        ({"v": -1}, "OUT_OF_RANGE: volume must be at least 0"),
        ({"bid": -1}, "OUT_OF_RANGE: bid must be at least 0"),
        ({"ts": 1759665601}, "NOT_EQUAL: ts and $id must be the same timestamp"),
    ],
)
def test_a_candle_that_contradicts_itself_is_refused(wrong, message):
    spec = read_spec("candles")
    with pytest.raises(RecordError) as caught:
        spec.flatten(spec.with_origin({**LISTENED, **wrong}, WHERE), "k")
    assert str(caught.value).startswith(message)


def test_a_candle_as_version_1_read_it_means_the_same():
    """Its own fields come first, and its id may be anything."""
    old = {
        "symbol": "btc/usdt", "interval": "1m", "open_time": 1759665600, "open": 1, "high": 2, "low": 1, "close": 2,
        "volume": 0, "exchange": "x",
    }  # fmt: skip
    spec = read_spec("candles")
    candle = spec.with_origin({**old, "ts": 1759665660}, Origin("BTC-USDT_1m_20251005T120000Z"))
    assert spec.flatten(candle, spec.key_of(candle, None)) == {
        "candle_id": "BTC-USDT_1m_20251005T120000Z", "symbol": "BTC-USDT", "interval": "1m", "open": 1.0, "high": 2.0,
        "low": 1.0, "close": 2.0, "volume": 0.0, "exchange": "x",
        "open_time": datetime.datetime(2025, 10, 5, 12, tzinfo=UTC),
    }  # fmt: skip


def test_a_student_record_is_read_whole():
    student = {
        "studentId": 77, "name": {"first": "Ada", "last": "Lovelace"}, "major": "Mathematics", "status": "Enrolled",
        "enrollment": {"date": "2024-10-01"}, "gpa": "3.9", "credits": 61,
        "courses": [{"title": "Algebra I"}, {"name": "x"}],
        "email": "nobody", "contact": {"email": " ada@example.org "}, "scholarship": "yes", "semester": 3,
    }  # fmt: skip
    spec = read_spec("student_records")
    assert spec.flatten(student, spec.key_of(student, None)) == {
        "student_id": "77", "first_name": "Ada", "last_name": "Lovelace", "full_name": "Ada Lovelace",
        "programme": "Mathematics", "status": "enrolled", "gpa": 3.9, "credits": 61, "credit_band": "60-119",
        "enrolled_at": datetime.datetime(2024, 10, 1, tzinfo=UTC), "courses": ["Algebra I"], "semester": 3,
        "email": "ada@example.org", "scholarship": True,
        "search_keywords": ["ada", "lovelace", "mathematics", "algebra i", "algebra", "i"],
    }  # fmt: skip


def test_a_student_of_unknown_standing_is_refused():
    with pytest.raises(
        RecordError, match=r"^NOT_IN_ENUM: status must be one of applied, enrolled, on_leave, graduated"
    ):
        read_spec("student_records").flatten({"status": "ghost"}, "k")


MINE = """\
name: mine
schema_version: 1
full_collection: a
flat_collection: b
key: {name: id_, from: id}
fields: {skills: {type: strings, cleaner: skills, from: s}}
"""


def test_a_spec_of_ones_own_is_read_with_the_alias_files_beside_it(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"\ufeff{MINE}skill_alias_files: [more.yaml]\n", "utf-8")
    (tmp_path / "more.yaml").write_text("Acme Flow: [aflow]\n", "utf-8")
    spec = read_spec(str(tmp_path / "mine.yaml"))
    assert spec.flatten({"s": ["AFlow"]}, "k") == {"id_": "k", "skills": ["Acme Flow"]}


def test_an_unknown_name_lists_the_shipped_specs():
    with pytest.raises(UsageError) as caught:
        read_spec("profile")
    assert str(caught.value) == (
        f"there is no spec called 'profile'; shipped are {', '.join(SHIPPED)}. "
        "For a spec of your own give the path of its YAML file, such as ./my_spec.yaml"
    )


def test_a_file_that_is_not_there_lists_the_shipped_specs(tmp_path):
    path = str(tmp_path / "none.yaml")
    with pytest.raises(SpecError) as caught:
        read_spec(path)
    assert str(caught.value).startswith(f"{path}: cannot be read (")
    assert str(caught.value).endswith(f"check the path; shipped specs are {', '.join(SHIPPED)}")


def test_a_file_that_is_not_utf8_names_the_line(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"name: a\ndescription: caf\xe9\n")
    with pytest.raises(SpecError, match=r"latin\.yaml:2: is not UTF-8; save it as UTF-8 text$"):
        read_spec(str(tmp_path / "latin.yaml"))


def test_a_missing_alias_file_is_named_where_the_spec_names_it(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"{MINE}skill_alias_files: [none.yaml]\n", "utf-8")
    with pytest.raises(SpecError, match=r"mine\.yaml:7:skill_alias_files\[0\]: .*none\.yaml"):
        read_spec(str(tmp_path / "mine.yaml"))


SHELF: dict[str, str] = {}


class _Shelf(LocalFileSystem):
    """A file system that is not local; its files stand above."""

    @classmethod
    def scheme(cls):
        return "shelf"

    def open(self, path, mime_type="text/plain", compression_type="auto"):
        return io.BytesIO(SHELF[path].encode())


@pytest.mark.parametrize("file", ["/etc/passwd", "s3://bucket/aliases.yaml", "file:///etc/passwd"])
def test_a_spec_from_elsewhere_names_no_file_of_this_computer(file):
    SHELF["shelf://a/mine.yaml"] = f"{MINE}skill_alias_files: ['{file}']\n"
    with pytest.raises(SpecError) as caught:
        read_spec("shelf://a/mine.yaml")
    rule = "is not beside it: a spec from shelf:// can name files of shelf:// only"
    assert str(caught.value) == f"shelf://a/mine.yaml:7:skill_alias_files[0]: {file} {rule}"


def test_a_spec_from_elsewhere_names_files_that_are_there_too():
    SHELF["shelf://a/mine.yaml"] = f"{MINE}skill_alias_files: [more.yaml, shelf://b/c.yaml]\n"
    SHELF["shelf://a/more.yaml"] = "Acme Flow: [aflow]\n"
    SHELF["shelf://b/c.yaml"] = "Acme Glow: [aglow]\n"
    flat = read_spec("shelf://a/mine.yaml").flatten({"s": ["AFlow", "aglow"]}, "k")
    assert flat == {"id_": "k", "skills": ["Acme Flow", "Acme Glow"]}
