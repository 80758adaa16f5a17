"""Cleaners that make text: `string`, `symbol`, `strings`, `keywords`. Pure, total, idempotent.

A cleaner takes anything and returns a clean value, or None where there is nothing to clean. Missing is absent: texts
that stand for nothing ("Unknown", "N/A", "-") are None, and so is text that no document can hold (lone surrogates).

    >>> string("  Ada   Lovelace "), string("N/A"), string(["no", "text"])
    ('Ada Lovelace', None, None)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

MAX_KEYWORDS = 50
_MAX_KEYWORD_CHARS = 64
_INT64 = 1 << 63

PLACEHOLDERS = frozenset(
    """
    unknown|n/a|n.a|na|none|null|nil|nan|undefined|unspecified|undisclosed|unavailable|various|tbd|tba|to be determined
    not specified|not available|not provided|not applicable|not mentioned|not stated|not given|not disclosed|not found
    not known|no data|no information|empty|not set|none specified|none provided|none mentioned
    não informado|nao informado|não especificado|desconhecido|desconocido|no especificado
    unbekannt|keine angabe|k.a|inconnu|non spécifié|不明|未定|未知
    """.replace("\n", "|")
    .replace("    ", "")
    .strip("|")
    .split("|")
)
_LONGEST_PLACEHOLDER = 24
_WRAPPING = " .,:;?!()[]<>{}\"'*_-–—…"

# What stands between words; + # . ' - also occur within them: c++, node.js, o'neill.
_BETWEEN_WORDS = re.compile(r"[\s,;:|/\\()\[\]{}<>\"“”„«»!?…•·&*=~^%@]+")
_STOP_WORDS = frozenset({"and", "at", "for", "in", "of", "the", "a", "an", "to", "on", "with"})


def string(value: Any, *, placeholders: bool = True) -> str | None:
    """One line of text: NFC, whitespace runs as one space, trimmed. Integers become their digits.

    Args:
      placeholders: whether a text that says that there is nothing to say is nothing; blank text always is.

    >>> string("Null", placeholders=False), string(" ", placeholders=False)
    ('Null', None)
    """
    if isinstance(value, str):
        text = " ".join(value.split())
        if not text.isascii():
            text = " ".join(unicodedata.normalize("NFC", text).split())
            if not _encodable(text):
                return None
        return None if not text or (placeholders and is_placeholder(text)) else text
    if isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64:
        return str(value)
    return None


def symbol(value: Any, *, placeholders: bool = True) -> str | None:
    """A ticker or code: NFKC, upper case, without spaces; `/` becomes `-`, since no document id may have one.

    >>> symbol("btc/usdt"), symbol(" brk.b ")
    ('BTC-USDT', 'BRK.B')
    """
    text = string(value, placeholders=placeholders)
    if text is None:
        return None
    # Upper case can need normalising again, and the other way round; two rounds reach the fixed point or none exists.
    folded = text
    for _ in range(2):
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).upper())
    return string("".join(folded.replace("/", "-").split()), placeholders=placeholders)


def strings(value: Any, *, placeholders: bool = True) -> list[str] | None:
    """A list of texts, each as `string` cleans it, without repetitions. Plain text is one entry.

    >>> strings(["a", " a ", "", None, 7, "N/A"])
    ['a', '7']
    """
    entries = value if isinstance(value, list | tuple) else (value,)
    cleaned = (string(entry, placeholders=placeholders) for entry in entries)
    return list(dict.fromkeys(text for text in cleaned if text is not None)) or None


def keywords(value: Any) -> list[str] | None:
    """Lower-case words to search by with array-contains; of a list, also each entry as a whole. At most 50.

    >>> keywords(["Machine Learning", "C++"]), keywords("Head of R&D, Acme Inc.")
    (['machine learning', 'machine', 'learning', 'c++'], ['head', 'r', 'd', 'acme', 'inc'])
    """
    entries = value if isinstance(value, list | tuple) else (value,)
    whole = isinstance(value, list | tuple)
    return bounded_keywords(((entry, whole) for entry in entries), MAX_KEYWORDS)


def bounded_keywords(entries: Iterable[tuple[Any, bool]], limit: int) -> list[str] | None:
    """Keywords of several (text, whether also as a whole), first come first, at most `limit`."""
    found: dict[str, None] = {}
    for entry, whole in entries:
        if not isinstance(entry, str):
            entry = string(entry)
        if entry is not None:
            found.update(_terms(entry, whole))
            if len(found) >= limit:
                return list(found)[:limit]
    return list(found) or None


def is_placeholder(text: str) -> bool:
    """True for text that says that there is nothing to say.

    >>> [is_placeholder(text) for text in ("", "-", "N/A.", "(unknown)", "Nadia")]
    [True, True, True, True, False]
    """
    return len(text) <= _LONGEST_PLACEHOLDER and _is_short_placeholder(text)


@lru_cache(maxsize=8192)
def _is_short_placeholder(text: str) -> bool:
    bare = text.strip(_WRAPPING)
    return not bare or bare.casefold() in PLACEHOLDERS


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _terms(text: str, whole: bool) -> dict[str, None]:
    return _short_terms(text, whole) if len(text) <= 80 else dict.fromkeys(_all_terms(text, whole))


@lru_cache(maxsize=8192)
def _short_terms(text: str, whole: bool) -> dict[str, None]:
    return dict.fromkeys(_all_terms(text, whole))


def _all_terms(text: str, whole: bool) -> Iterator[str]:
    clean = string(text)
    if clean is None:
        return
    lowered = _lower(clean)
    if whole and (phrase := _keyword(" ".join(lowered.split()))):
        yield phrase
    for word in _BETWEEN_WORDS.split(lowered):
        if keyword := _keyword(word):
            yield keyword


def _lower(text: str) -> str:
    """NFKC and lower case; two rounds, since the one can call for the other."""
    for _ in range(2):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    return text


def _keyword(text: str) -> str | None:
    """A term as it is indexed, or None: a stop word, too long, no letter or digit in it.

    >>> _keyword("inc."), _keyword(".net"), _keyword("c++"), _keyword("--"), _keyword("- 0")
    ('inc', '.net', 'c++', None, '0')
    """
    text = text.rstrip(".-'’_,;: ").lstrip("-'’_,;: ")
    if not text or len(text) > _MAX_KEYWORD_CHARS or text in _STOP_WORDS or is_placeholder(text):
        return None
    return text if any(character.isalnum() for character in text) else None
