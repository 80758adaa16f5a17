"""The `level` cleaner: a seniority level from free text such as "Mid-Senior", "Tech Lead" or "VP of Engineering".

Rules are tried from top to bottom, on words without accents or case; the first that fits decides:

| level | said by |
|---|---|
| vp | VP, SVP, Vice President |
| executive | chief … officer, CEO and the like, founder, president |
| director | director, head of …, chief of staff |
| executive | executive, senior leadership |
| manager | manager, management, supervisor, coordinator |
| principal | principal, distinguished, fellow |
| staff | staff, grade IV |
| lead | lead, leader |
| intern | intern, trainee, apprentice, student |
| mid | semi-senior |
| senior | senior, mid-senior, expert, architect, grade III |
| junior | junior, entry-level, graduate, associate, assistant, grade I |
| mid | mid, intermediate, grade II |
| mid | a profession without any of these: "Software Engineer" |

English, and the common words of Portuguese, Spanish and German. "Individual Contributor", say, has no level.

    >>> [level(text) for text in ("Mid-Senior", "Tech Lead", "VP of Engineering", "Engenheiro De Software Sênior", "?")]
    ['senior', 'lead', 'vp', 'senior', None]
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

LEVELS = ("intern", "junior", "mid", "senior", "lead", "staff", "principal", "manager", "director", "vp", "executive")

_MAX_WORDS = 12  # longer text is prose about somebody, not a title
_MAX_CHARS = 120
_WORD = re.compile(r"[a-z0-9]+")
_PROFESSION = (
    r"(?:engineer|developer|programmer|analyst|scientist|consultant|designer|administrator|specialist|researcher|"
    r"tester|technician|dba|sre|sde|swe|qa|engenheir[oa]|desenvolvedora?|analista|programadora?|cientista|"
    r"consultora?|especialista|entwickler(?:in)?|ingenieur(?:in)?|desarrolladora?|ingenier[oa]|"
    r"member of (?:the )?technical staff)"
)
_RULES = tuple(
    (name, re.compile(rf"\b(?:{pattern})\b"))
    for name, pattern in (
        ("vp", r"[sea]?vp|v p|vice president[ea]?"),
        ("director", r"chief of staff|executive director"),
        (
            "executive",
            r"chief|c[etofimpr]o|ciso|cdo|(?:co ?)?founder|president[ea]?|fundadora?|geschaftsfuhrer(?:in)?|c level",
        ),
        ("director", r"director|diretora?|directora|head|direktor(?:in)?"),
        ("executive", r"(?<!account )(?<!sales )executive(?! assistant)|senior leadership|leadership team"),
        (
            "manager",
            r"manager|mgr|management|gerente|coordenadora?|coordinator|supervisora?|teamleiter(?:in)?|gestora?",
        ),
        ("principal", r"principal|distinguished|fellow"),
        ("staff", rf"(?<!technical )staff|{_PROFESSION} (?:\w+ ){{0,2}}(?:iv|4)"),
        ("lead", r"lead|leader|lider"),
        (
            "intern",
            r"intern|internship|trainee|apprentice|student|undergraduate|estagiari[oa]|estagio|praktikant(?:in)?|"
            r"werkstudent(?:in)?|becari[oa]|aprendiz",
        ),
        ("mid", r"semi ?senior"),
        ("senior", rf"senior|sr|snr|expert|architect|arquitet[oa]|arquitecto|{_PROFESSION} (?:\w+ ){{0,2}}(?:iii|3)"),
        (
            "junior",
            rf"junior|jr|entry|graduate|associate|beginner|fresher|assistant|{_PROFESSION} (?:\w+ ){{0,2}}(?:i|1)",
        ),
        ("mid", rf"mid|middle|midlevel|intermediate|medior|pleno|{_PROFESSION}"),
    )
)


def level(value: Any) -> str | None:
    """The seniority level that a text names, one of LEVELS, or None."""
    return _of_text(value) if isinstance(value, str) and len(value) <= _MAX_CHARS else None


@lru_cache(maxsize=8192)
def _of_text(text: str) -> str | None:
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    words = _WORD.findall("".join(mark for mark in decomposed if not unicodedata.combining(mark)))
    if len(words) > _MAX_WORDS:
        return None
    joined = " ".join(words)
    return next((name for name, rule in _RULES if rule.search(joined)), None)
