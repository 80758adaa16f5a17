"""Words that stand in dated texts, in the common languages of résumés: months, and what is said in place of an end.

Words are compared without accents and case: `folded("Março") == "marco"`.

    >>> MONTHS["marco"], MONTHS["dez"], folded("até o momento") in OPEN_ENDS
    (3, 12, True)
"""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """Text without accents and case, with single spaces.

    >>> folded(" Présent "), folded("São  Paulo"), folded("現在")
    ('present', 'sao paulo', '現在')
    """
    if text.isascii():
        return " ".join(text.casefold().split())
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(mark for mark in decomposed if not unicodedata.combining(mark)).split())


# One line per language, twelve columns; then the short forms that are not the first three letters of a full one.
_MONTHS = """
january february march april may june july august september october november december
janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
janvier février mars avril mai juin juillet août septembre octobre novembre décembre
januar februar märz april mai juni juli august september oktober november dezember
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
januari februari maart april mei juni juli augustus september oktober november december
"""
_SHORT_MONTHS = {"janv": 1, "fevr": 2, "mrz": 3, "mrt": 3, "avr": 4, "juil": 7, "sept": 9, "setiembre": 9}

MONTHS = {
    **{folded(name)[:3]: number for row in _MONTHS.strip().splitlines() for number, name in enumerate(row.split(), 1)},
    **{folded(name): number for row in _MONTHS.strip().splitlines() for number, name in enumerate(row.split(), 1)},
    **_SHORT_MONTHS,
}

_OPEN_ENDS = """
current|currently|present|present day|the present|now|today|to date|to present|till date|till now|until now|up to now
ongoing|on-going|in progress|still here|still working
atual|atualmente|atualidade|o atual|presente|o presente|hoje|o momento|momento atual|até o momento|até hoje
até o presente|até agora|agora|os dias atuais|em andamento|em curso
actual|actualmente|actualidad|la actualidad|el presente|hoy|hoy en día|la fecha|a la fecha|en curso|ahora
actuel|actuelle|actuellement|à ce jour|ce jour|aujourd'hui|aujourd’hui|en cours|maintenant|présent
heute|bis heute|aktuell|gegenwärtig|gegenwart|jetzt|laufend|derzeit
attuale|attualmente|oggi|ad oggi|in corso|presente
heden|nu|huidig|tot nu|nuvarande|pågående|idag|i dag|nuværende|nå|nåværende|nykyinen
obecnie|teraz|současnost|dosud|prezent|jelenleg|günümüz|halen|devam ediyor
настоящее время|по настоящее время|наст. время|н.в.|н. в.|сейчас|по сей день|теперішній час
現在|至今|现在|目前|迄今|今|현재|재직중
"""
OPEN_ENDS = frozenset(folded(word) for word in _OPEN_ENDS.strip().replace("\n", "|").split("|"))
