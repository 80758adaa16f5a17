"""Profiles in the formats that résumé processors and models really write: what a person reads there is read."""

import json
from pathlib import Path

import pytest

from pipeline.specs import read_spec

CASES = Path(__file__).parents[4] / "shared" / "cases"
GOAL = 0.98  # of the fields that a person reads


def lines_of(name):
    return [json.loads(line) for line in (CASES / name).read_text("utf-8").splitlines()]


@pytest.mark.skipif(not CASES.exists(), reason="../shared/cases is not there")
def test_what_a_person_reads_in_real_formats_is_in_the_flat_form():
    spec = read_spec("profiles")
    wrong, total = [], 0
    records, expected = lines_of("profiles_real_formats.jsonl"), lines_of("profiles_real_formats.expected.jsonl")
    for record, read in zip(records, expected, strict=True):
        flat = spec.flatten(record, spec.key_of(record, None))
        for field, value in read.items():
            if field != "format":
                found = flat.get(field)
                total += 1
                if (sorted(found) if isinstance(found, list) else found) != value:
                    wrong.append((read["candidate_id"], field, found, value))
    assert total > 600
    assert len(wrong) <= (1 - GOAL) * total, wrong


ANSWER = {
    "personal_details": {"name": "Ana Lima", "seniority_level": "Mid-Senior", "years_of_experience": "8+ years"},
    "experience_analysis": {
        "companies": ["Remote", "Vela Telecom", "Atlas"],
        "current_role": "Data Engineer",
        "industry_focus": ["Telecom", "Energy"],
    },
    "technical_assessment": {"primary_skills": ["Kafka", "spark", "Apache Kafka"], "expertise_level": "Advanced"},
    "executive_summary": {"one_line_pitch": "Builds things", "overall_rating": "82"},
}
READ_OF_ANSWER = {
    "name": "Ana Lima", "current_role": "Data Engineer", "current_company": "Vela Telecom", "years_experience": 8.0,
    "experience_band": "6-9", "seniority_level": "senior", "primary_skills": ["Kafka", "Spark"], "domain": "Telecom",
    "overall_rating": 4.1,
}  # fmt: skip


def profile_of(record):
    flat = read_spec("profiles").flatten(record, "k")
    flat.pop("search_keywords", None)
    assert flat.pop("candidate_id") == "k"
    return flat


def test_an_answer_is_read_with_and_without_its_wrapper():
    assert profile_of(ANSWER) == READ_OF_ANSWER
    assert profile_of({"ai_analysis": ANSWER}) == READ_OF_ANSWER
    assert profile_of({"name": "", "enhanced_analysis": ANSWER}) == READ_OF_ANSWER


def test_the_record_itself_knows_better_than_the_answer_in_it():
    experience = "- 2019/05 - 2021/11\nOld Co : Intern\n\n- 2021/12 - atual\nBanco Aurora : Head of Data\n"
    record = {"name": "Ana Maria Lima", "original_data": {"experience": experience}, "ai_analysis": ANSWER}
    assert profile_of(record) == READ_OF_ANSWER | {
        "name": "Ana Maria Lima",
        "current_role": "Head of Data",
        "current_company": "Banco Aurora",
    }


def test_what_the_work_history_leaves_out_the_answer_adds():
    experience = "- 2021/12 - current\nhome office : \n"
    found = profile_of({"original_data": {"experience": experience}, "ai_analysis": ANSWER})
    assert (found["current_role"], found["current_company"]) == ("Data Engineer", "Vela Telecom")


def test_an_enhanced_analysis_is_read_like_a_plain_profile():
    analysis = {
        "career_trajectory": {"current_level": "Lead", "years_experience": 13},
        "leadership_scope": {"has_leadership": True, "team_size": 5, "leadership_level": "none"},
        "skill_assessment": {"technical_skills": {"core_competencies": ["Go", "dbt"], "skill_depth": "advanced"}},
        "executive_summary": {"overall_rating": 84},
    }
    expected = {
        "years_experience": 13.0, "experience_band": "10-14", "seniority_level": "lead",
        "primary_skills": ["Go", "dbt"], "overall_rating": 4.2, "has_leadership": True, "team_size": 5,
    }  # fmt: skip
    assert profile_of({"enhanced_analysis": analysis}) == expected
    assert profile_of(analysis) == expected
