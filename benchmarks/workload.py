"""The data that everything is measured on: deterministic, invented, and shaped like what models and processors write.

    profiles     two shapes: 40 % with intelligent_analysis (5.6 KB of JSON, 205 leaves), 60 % with resume_analysis
                 (1.3 KB, 36 leaves); 3.0 KB and 104 leaves on average
    documents    1.8 KB as Firestore encodes them: texts, numbers, a timestamp, a nested map, an array, bytes
    watched      1.5 KB, 20 fields: what is listened to

>>> profile(7) == profile(7), profile(7)["candidate_id"]
(True, 'cand-0000007')
"""

from __future__ import annotations

import datetime
import random
import string
from pathlib import Path
from typing import Any

import orjson

_TEXT = (
    "little question remember positive congress when size do issue debate important which Straße naïve señor 経験 開発 "
    "system platform growth market analysis pipeline delivery release quality customer partner contract budget scale"
)
_WORDS = tuple(_TEXT.split())
_FIRST = ("Ada", "Erin", "Mateus", "三浦", "José", "Grace", "Zoë", "Nils", "Priya", "Omar")
_LAST = ("Lopez", "Ribeiro", "Lovelace", "真綾", "García", "Hopper", "Müller", "Åkesson", "Sharma", "Haddad")
_COMPANIES = ("Margraf Geisler AG", "Fonseca", "Binner AG", "Sousa Ltda.", "阿部電気", "Fleming, Lewis and Murphy")
_ROLES = ("Software Engineer", "Staff Software Engineer", "Data Engineer", "Product Manager", "Android Developer")
_LEVELS = ("Junior", "Mid-Level Developer", "Senior", "Staff Software Engineer", "Director")
_SKILLS = (
    "Java", "Python", "JavaScript", "C++", "Game Development", "Full Stack Development", "AWS", "Docker", "Kubernetes",
    "CI/CD", "Git", "Jira", "Leadership", "Team Management", "Problem Solving", "Communication", "Agile Methodologies",
    "Microservices Architecture", "DevOps Practices", "Database Management", "Cloud Computing", "Scrum", "Terraform",
    "Data Structures and Algorithms", "User Interface Design", "Machine Learning", "Android Development", "SQL",
)  # fmt: skip
_MOMENT = datetime.datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=datetime.timezone.utc)


def profile(n: int) -> dict[str, Any]:
    """The profile number `n`."""
    chance = random.Random(n)
    identity = {"candidate_id": f"cand-{n:07d}", "name": f"{chance.choice(_FIRST)} {chance.choice(_LAST)}"}
    return identity | (_intelligent(chance) if n % 5 in (0, 2) else _resume(chance))


def write_profiles(path: Path, n_profiles: int) -> Path:
    """Writes so many profiles as JSON Lines."""
    with path.open("wb") as file:
        for n in range(n_profiles):
            file.write(orjson.dumps(profile(n)) + b"\n")
    return path


def document(n: int) -> dict[str, Any]:
    """The fields of the document number `n`."""
    chance = random.Random(n)
    fields: dict[str, Any] = {f"text_{k}": "".join(chance.choices(string.ascii_letters, k=117)) for k in range(10)}
    fields |= {f"number_{k}": n * k for k in range(5)}
    return fields | {
        "score": n * 1.5,
        "active": bool(n % 2),
        "seen_at": _MOMENT,
        "left_at": None,
        "address": {"floor": 1, "street": "x" * 60, "geo": {"cells": [1, 2, 3]}},
        "tags": [f"tag {k}" for k in range(6)],
        "digest": bytes(range(100)),
    }


def watched(text: str, n: int, sent_ns: int) -> dict[str, Any]:
    """The fields of a document that is listened to, of 1.5 KB.

    Args:
      text: 120 characters.
      n: which write it is; below 0 for what was there before.
      sent_ns: when it was written, by the machine's monotonic clock.

    >>> len(watched("x" * 120, 0, 0))
    20
    """
    fields: dict[str, Any] = {f"text_{k}": text for k in range(10)}
    fields |= {f"number_{k}": n * k for k in range(5)}
    return fields | {"score": n * 1.5, "active": bool(n % 2), "seen_at": _MOMENT, "n": n, "sent_ns": sent_ns}


def _intelligent(chance: random.Random) -> dict[str, Any]:
    role, company, level = chance.choice(_ROLES), chance.choice(_COMPANIES), chance.choice(_LEVELS)
    technical = _rated(chance, 6, evidence=["resume, section 1"])
    probable = _rated(chance, 3, reasoning="typical for the role")
    competencies = {
        "core_competencies": chance.sample(_SKILLS, 3),
        "typical_tools": chance.sample(_SKILLS, 3),
        "domain_knowledge": chance.sample(_SKILLS, 2),
    }
    names = [skill["skill"] for skill in technical]
    return {
        "original_data": {"education": f"{company} University", "experience": f"- {company} : {role}", "comments": []},
        "intelligent_analysis": {
            "explicit_skills": {
                "technical_skills": technical,
                "tools_technologies": _rated(chance, 3, evidence=["resume, section 1"]),
                "soft_skills": _rated(chance, 2, evidence=["resume, section 1"]),
                "certifications": [],
                "languages": _rated(chance, 1, evidence=["resume, section 1"]),
            },
            "inferred_skills": {
                "highly_probable_skills": probable,
                "probable_skills": _rated(chance, 3, reasoning="typical for the role"),
                "likely_skills": _rated(chance, 2, reasoning="typical for the role"),
                "possible_skills": _rated(chance, 1, reasoning="typical for the role"),
            },
            "career_trajectory_analysis": {
                "current_level": level,
                "years_experience": float(chance.randint(0, 30)),
                "promotion_velocity": "Moderate",
            },
            "market_positioning": {"skill_market_value": "High", "skill_rarity": "Moderate"},
            "recruiter_insights": {"overall_rating": "Good", "recommendation": f"Consider for {role} roles"},
            "composite_skill_profile": {
                "primary_expertise": _rated(chance, 2),
                "secondary_expertise": _rated(chance, 1),
                "domain_specialization": _text(chance, 4),
            },
            "role_based_competencies": {
                "current_role_competencies": {"role": role, **competencies},
                "historical_competencies": [{"role": f"{role}, {company}", **competencies}],
            },
            "company_context_skills": {"company_specific": [], "industry_skills": chance.sample(_SKILLS, 2)},
            "skill_evolution_analysis": {
                "skill_trajectory": f"Steady progression in {role} roles",
                "emerging_skills": chance.sample(_SKILLS, 2),
                "skill_gaps": chance.sample(_SKILLS, 2),
                "learning_velocity": "Moderate",
                "skill_timeline": [
                    {"skill": name, "first_used": "2015", "last_used": "2023", "frequency": "high", "recency_score": 95}
                    for name in names[:3]
                ],
                "skill_depth_analysis": {
                    "beginner_skills": names[:3],
                    "intermediate_skills": chance.sample(_SKILLS, 2),
                    "advanced_skills": [],
                    "expert_skills": [],
                },
            },
        },
        "processing_metadata": {
            "timestamp": "2025-10-05T12:40:38.399574",
            "processor": "intelligent_skill_processor",
            "model": "an-instructed-model-7B",
            "version": "4.0",
            "analysis_type": "probabilistic_skill_inference",
        },
        "explicit_skills": names,
        "inferred_skills_high_confidence": [skill["skill"] for skill in probable],
        "all_probable_skills": chance.sample(_SKILLS, 4),
        "current_level": level,
        "skill_market_value": "High",
        "overall_rating": "Good",
        "recommendation": f"Consider for {role} roles",
        "primary_expertise": names[:2],
        "search_keywords": f"{role} at {company}".lower(),
        "analysis_confidence": chance.randint(300, 999) / 1000,
        "quality_flags": ["missing_experience_structure"],
    }


def _resume(chance: random.Random) -> dict[str, Any]:
    company, leads = chance.choice(_COMPANIES), chance.random() < 0.2
    return {
        "current_role": chance.choice(_ROLES),
        "current_company": company,
        "resume_analysis": {
            "career_trajectory": {
                "current_level": chance.choice(("Junior", "Senior", "Lead")),
                "progression_speed": "steady",
                "trajectory_type": "technical",
            },
            "years_experience": chance.randint(0, 30),
            "technical_skills": chance.sample(_SKILLS, 3),
            "soft_skills": ["Communication", "Problem-solving", "Team collaboration"],
            "leadership_scope": {
                "has_leadership": leads,
                "team_size": chance.randint(2, 40) if leads else 0,
                "leadership_level": "Individual Contributor",
            },
            "company_pedigree": {"tier_level": "tier_3", "recent_companies": [company]},
            "education": {
                "highest_degree": "Bachelor's",
                "institutions": [chance.choice(_COMPANIES)],
                "education_raw": _text(chance, 14),
            },
            "resume_files_found": 0,
            "resume_text_extracted": False,
        },
        "recruiter_insights": {
            "sentiment": "neutral",
            "recommendation": "consider",
            "strengths": [],
            "concerns": [],
            "key_themes": [],
        },
        "overall_score": chance.randint(1, 10) / 10,
        "contact_info": {"email": "somebody@example.org", "phone": ""},
        "data_sources": {"csv_data": True, "comments_data": False, "resume_data": False, "jobs_data": True},
        "processing_metadata": {
            "processed_at": "2025-09-06T14:43:33.655925",
            "processor_version": "comprehensive_v1.0",
            "data_completeness_score": 0.4,
        },
    }


def _rated(chance: random.Random, count: int, **more: Any) -> list[dict[str, Any]]:
    skill = {"reasoning": None, "evidence": None, "category": None} | more
    return [
        {"skill": name, "confidence": float(chance.randint(50, 100)), **skill} for name in chance.sample(_SKILLS, count)
    ]


def _text(chance: random.Random, n_words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=n_words)).capitalize() + "."
