"""All 249 profiles that models produced: what a person can read in them is in their flat form.

The lists below were made by reading the records, not by running the spec.
"""

import json
from pathlib import Path

import pytest

from pipeline.specs import read_spec

PROFILES = Path(__file__).parents[4] / "shared" / "data" / "profiles_llm.jsonl"
pytestmark = pytest.mark.skipif(not PROFILES.exists(), reason="../shared/data/profiles_llm.jsonl is not there")

# Each says 0.0 years, which these models write also for a lead engineer with four dated years; what else is there:
WITHOUT_YEARS = {
    "cand-0010": "a mid-level engineer with an empty position and no dates at all",
    "cand-0018": "a student, without positions, skills in use or dates",
    "cand-0033": "an entry-level engineer whose skills were first and last used in one year, 2023",
    "cand-0068": "an academic whose only position is the heading 'Formação Acadêmica'; 2012 to 2017 are years of study",
}

WITHOUT_LEVEL = {
    "cand-0068": "'Academic' and 'Formação Acadêmica' are no levels of seniority",
}

# technical_skills is an empty list. Their soft_skills are the same three words in all 150 records of this shape, none
# of which had a résumé to read (resume_text_extracted is false), so they say nothing about the person.
WITHOUT_SKILLS = {
    f"cand-0{number}"
    for number in (
        100, 101, 102, 103, 104, 105, 107, 109, 113, 114, 117, 120, 121, 122, 125, 128, 129, 130, 131, 132, 133, 134,
        135, 138, 139, 141, 142, 144, 145, 146, 147, 149, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 160, 161,
        162, 164, 166, 167, 169, 171, 172, 174, 175, 176, 177, 179, 180, 182, 183, 184, 187, 188, 189, 190, 191, 192,
        193, 194, 195, 196, 199, 200, 201, 202, 203, 204, 206, 208, 209, 210, 212, 214, 215, 216, 217, 218, 220, 221,
        223, 224, 225, 226, 228, 229, 230, 231, 235, 236, 237, 239, 241, 243, 246, 247, 249,
    )
}  # fmt: skip

READ_BY_EYE = {
    "cand-0070": {
        "name": "Erin Lopez", "current_role": "Staff Software Engineer", "current_company": "Margraf Geisler AG",
        "years_experience": 15, "experience_band": "15+", "seniority_level": "staff", "domain": "Tech Industry",
        "primary_skills": ["Java", "Python", "JavaScript", "C++", "Game Development", "Full Stack Development", "AWS",
                           "Docker", "CI/CD", "Kubernetes"],
        "overall_rating": 4.5, "analysis_confidence": 0.606,
    },
    "cand-0189": {
        "name": "佐藤 翼", "current_company": "Segebahn GmbH & Co. KGaA", "years_experience": 2,
        "experience_band": "0-2",
        "seniority_level": "junior", "has_leadership": False, "overall_rating": 4.0,
    },
    "cand-0207": {
        "name": "Erick Costa", "years_experience": 5, "experience_band": "3-5", "seniority_level": "mid",
        "primary_skills": ["Consulting"], "overall_rating": 3.5,
    },
    "cand-0175": {
        "name": "Univ.Prof. Diethelm Ullrich", "years_experience": 15, "experience_band": "15+",
        "seniority_level": "director", "has_leadership": True, "team_size": 8, "overall_rating": 5.0,
    },
    "cand-0082": {
        "current_role": "Senior Software Engineer", "current_company": "Albers", "years_experience": 7,
        "experience_band": "6-9", "seniority_level": "senior",
        "primary_skills": ["Java", "Python", "C++", "Google Cloud Platform", "Distributed Systems", "Git", "Jenkins",
                           "Docker", "Kubernetes", "System Design", "Cloud Architecture"],
        "domain": "Google Cloud Platform, Distributed Systems",
    },
    # 0.0 years stated, skills dated 2019 to 2023 and 2010 to 2019
    "cand-0053": {"years_experience": 4, "experience_band": "3-5", "seniority_level": "lead"},
    "cand-0034": {"years_experience": 9, "experience_band": "6-9", "seniority_level": "senior",
                  "primary_skills": ["Java", "Agile"]},
    # "Senior Leadership", told apart by the title
    "cand-0095": {"seniority_level": "vp", "current_role": "Vice President of Engineering", "years_experience": 15},
    "cand-0089": {"seniority_level": "director", "current_company": "有限会社高橋水産"},
    "cand-0077": {"seniority_level": "executive", "current_role": "Chief Technology Officer"},
    # "Senior Leadership" without a title; nothing explicit, so the primary expertise
    "cand-0027": {"seniority_level": "executive", "primary_skills": ["Cloud Computing", "Distributed Systems"]},
    "cand-0037": {"overall_rating": 4.13, "years_experience": 4, "seniority_level": "senior"},
    "cand-0018": {"seniority_level": "intern", "primary_skills": ["Python", "Java"], "overall_rating": 3.0},
    "cand-0087": {"seniority_level": "mid", "current_role": "Engenheiro De Software Iii", "years_experience": 11},
}  # fmt: skip


@pytest.fixture(scope="module")
def flats():
    spec = read_spec("profiles")
    records = [json.loads(line) for line in PROFILES.read_text("utf-8").splitlines()]
    return {key: spec.flatten(record, key) for record in records for key in [spec.key_of(record, None)]}


def test_all_249_profiles_flatten_under_ids_of_their_own(flats):
    assert len(flats) == 249
    assert all(flat["candidate_id"] == key for key, flat in flats.items())


@pytest.mark.parametrize(
    ("field", "absent"),
    [
        ("years_experience", set(WITHOUT_YEARS)),
        ("experience_band", set(WITHOUT_YEARS)),
        ("seniority_level", set(WITHOUT_LEVEL)),
        ("primary_skills", WITHOUT_SKILLS),
        ("name", set()),
        ("current_company", set()),
        ("overall_rating", set()),
        ("search_keywords", set()),
    ],
)
def test_a_field_is_absent_only_where_nobody_can_read_it(flats, field, absent):
    assert {key for key, flat in flats.items() if field not in flat} == absent


def test_the_list_of_records_without_skills_is_complete_as_written():
    assert len(WITHOUT_SKILLS) == 105


@pytest.mark.parametrize("key", READ_BY_EYE)
def test_values_are_those_that_a_person_reads(flats, key):
    assert {name: flats[key].get(name) for name in READ_BY_EYE[key]} == READ_BY_EYE[key]


def test_nothing_is_filled_for_want_of_a_value(flats):
    for flat in flats.values():
        for name, value in flat.items():
            assert value not in ("", [], None, "Unknown", "various"), name
            assert not (name in ("years_experience", "team_size") and value == 0)


def test_lists_keep_their_bounds(flats):
    assert max(len(flat["search_keywords"]) for flat in flats.values()) <= 50
    assert max(len(flat.get("primary_skills", [])) for flat in flats.values()) <= 20
