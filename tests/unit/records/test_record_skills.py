"""Skills: one spelling each, the surest first, whatever shape they come in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.records.skill_tables import shipped_skill_table
from transforms.records.skills import MAX_SKILLS, AliasConflictError, SkillTable

TABLE = shipped_skill_table()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["js", "JavaScript", "Java Script", "ＪＳ"], ["JavaScript"]),
        (["k8s", "golang", "postgres", "aws", "Ios", "Php"], ["Kubernetes", "Go", "PostgreSQL", "AWS", "iOS", "PHP"]),
        (["Problem-solving", "problem solving", "Problem Solving"], ["Problem Solving"]),
        (["Version Control (Git)", "Version Control Systems (e.g., Git)"], ["Git"]),
        (["Natural Language Processing (NLP)"], ["Natural Language Processing"]),
        (["Basket Weaving", "basket  weaving", "BASKET-WEAVING"], ["Basket Weaving"]),
        ("Python, SQL; Rust | Perl", ["Python", "SQL", "Rust", "Perl"]),
        (["C", "C++", "C#", "R"], ["C", "C++", "C#", "R"]),
        ([{"skill": "Go", "confidence": 70}, {"skill": "Rust", "confidence": 95}], ["Rust", "Go"]),
        ([{"skill": "Go", "confidence": 0.7}, {"skill": "Rust", "confidence": "95%"}, "Perl"], ["Rust", "Go", "Perl"]),
        ([{"skill": "js", "confidence": 50}, {"skill": "Go", "confidence": 60}, {"skill": "JavaScript", "score": 90}],
         ["JavaScript", "Go"]),
        ([{"skill": "b", "confidence": 80}, {"skill": "a", "confidence": 80}], ["b", "a"]),
        ({"Python": 95, "Go": 99, "SQL": "expert"}, ["Go", "Python", "SQL"]),
        ({"Python": {"confidence": 80}, "Go": {"score": 90, "evidence": []}}, ["Go", "Python"]),
        ({"technical": ["Python"], "soft": {"Tact": 90}}, ["Tact", "Python"]),
        ([{"name": "Python", "years": 4}], ["Python"]),
        (["Unknown", "N/A", "", None, "---", {"skill": None}, 7], None),
        (["\ud800", "ok"], ["ok"]),
        (["x" * 101, "ok"], ["ok"]),
        (None, None),
        (True, None),
        (12, None),
    ],
)  # fmt: skip
def test_skills_are_spelled_ranked_and_deduplicated(value, expected):
    assert TABLE.clean(value) == expected


def test_at_most_twenty_skills_and_those_the_surest():
    many = [{"skill": f"skill {index}", "confidence": index} for index in range(2, 101)]
    assert TABLE.clean(many) == [f"skill {index}" for index in range(100, 100 - MAX_SKILLS, -1)]


def test_the_shipped_table_knows_at_least_150_skills_and_300_names():
    assert len(set(TABLE.canonical.values())) >= 150
    assert len(TABLE.canonical) >= 300


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(sorted(TABLE.canonical)), max_size=25))
def test_every_alias_becomes_its_skill(aliases):
    wanted = list(dict.fromkeys(TABLE.canonical[alias] for alias in aliases))
    assert (TABLE.clean(aliases) or []) == wanted[:MAX_SKILLS]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30) | st.sampled_from(["js", "Java (spring)", "c++"]), max_size=30))
def test_no_two_skills_differ_in_case_alone(names):
    skills = TABLE.clean(names) or []
    assert len({skill.casefold() for skill in skills}) == len(skills)


def test_an_alias_cannot_mean_two_skills():
    with pytest.raises(AliasConflictError, match=r"^'JS' already means JavaScript; it cannot mean Jscript too$"):
        SkillTable.of({"JavaScript": ["js"], "Jscript": ["JS"]})
