"""The `organisation` cleaner: the name of a company or school, and not what résumé parsers put in its place.

    "Pixel & Pine"  ─▶  "Pixel & Pine"          "dezembro de", "Remote", "Berlin, Germany", "2019"  ─▶  nothing

A month or a date, a way of working, and a place are no organisation. A place is a country or a large city, alone or
with another place, a region's two letters or a word such as "area" beside it. Cities that are also well-known
companies (Santander, Zurich, Phoenix, …) are not on the list.

    >>> [organisation(text) for text in ("Banco Aurora", "março de", "São Paulo - SP", "Remote", "Berlin Systems")]
    ['Banco Aurora', None, None, None, 'Berlin Systems']
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from transforms.records.calendar_words import MONTHS, OPEN_ENDS, folded
from transforms.records.texts import string

_MAX_CHARS = 60  # a longer text is more than a place or a date

_WAYS_OF_WORKING = """
remote|fully remote|100% remote|remote work|work from home|wfh|home office|home-office|homeoffice|hybrid|on-site|onsite
remoto|remota|trabalho remoto|trabalho em casa|presencial|híbrido|híbrida|teletrabajo|teletrabalho
à distância|a distância|télétravail|hybride|sur site|fernarbeit|vor ort|da remoto|in sede|thuiswerken
worldwide|global|anywhere|various locations
"""
_COUNTRIES = """
argentina|australia|austria|österreich|belgium|belgique|belgië|bolivia|brazil|brasil|bulgaria|canada|canadá|chile|china
colombia|colômbia|costa rica|croatia|cuba|czech republic|czechia|denmark|danmark|dinamarca|ecuador|egypt|england
inglaterra|estonia|finland|finlândia|france|frança|francia|germany|deutschland|alemanha|alemania|allemagne|ghana|greece
hong kong|hungary|india|índia|indonesia|ireland|irlanda|israel|italy|itália|italia|italien|japan|japão|japón|日本|kenya
korea|south korea|latvia|lithuania|luxembourg|malaysia|mexico|méxico|morocco|netherlands|the netherlands|nederland
holanda|países baixos|new zealand|nigeria|norway|norge|noruega|pakistan|panama|paraguay|peru|perú|philippines|poland
polska|polônia|portugal|romania|russia|россия|saudi arabia|scotland|serbia|singapore|slovakia|slovenia|south africa
spain|españa|espanha|spanien|sweden|sverige|suécia|switzerland|schweiz|suisse|suíça|suiza|taiwan|thailand|tunisia
turkey|türkiye|turquia|uk|u.k.|united kingdom|reino unido|ukraine|united arab emirates|uae|uruguay|uruguai|usa|u.s.a.
us|u.s.|eua|ee.uu.|united states|united states of america|estados unidos|venezuela|vietnam|wales|中国|대한민국
europe|emea|latam|apac|latin america|north america|south america|asia|africa
"""
_CITIES = """
abu dhabi|accra|amsterdam|ankara|antwerp|athens|atlanta|auckland|austin|bangalore|bengaluru|bangkok|barcelona|beijing
belém|belgrade|belo horizonte|berlin|bogotá|bologna|boston|braga|brasília|bratislava|brisbane|brussels|bruxelles
bucharest|budapest|buenos aires|cairo|calgary|campinas|cape town|casablanca|chennai|chicago|cologne|köln|coimbra
copenhagen|københavn|córdoba|curitiba|dallas|delhi|new delhi|denver|detroit|dubai|dublin|düsseldorf|edinburgh|florence
florianópolis|fortaleza|frankfurt|frankfurt am main|geneva|genève|glasgow|goiânia|gothenburg|göteborg|guadalajara
guangzhou|gurgaon|gurugram|hamburg|hanoi|helsinki|ho chi minh city|houston|hyderabad|istanbul|jakarta|joinville
johannesburg|karachi|kiev|kyiv|kolkata|kraków|krakow|kuala lumpur|lagos|lahore|leeds|leipzig|lille|lima|lisboa|lisbon
london|londres|los angeles|lyon|madrid|málaga|malmö|manaus|manchester|manila|marseille|medellín|melbourne|miami|milan
milano|minneapolis|minsk|monterrey|montevideo|montréal|montreal|moscow|москва|mumbai|munich|münchen|nairobi|nantes
naples|napoli|new york|new york city|nyc|noida|nürnberg|oslo|ottawa|paris|perth|philadelphia|pittsburgh|portland|porto
porto alegre|prague|praha|pune|quito|recife|riga|rio de janeiro|ribeirão preto|rome|roma|rotterdam|salvador|san diego
san francisco|san jose|santiago|são paulo|sao paulo|são josé dos campos|seattle|seoul|sevilla|seville|shanghai|shenzhen
sofia|stockholm|stuttgart|sydney|taipei|tallinn|tel aviv|the hague|tokyo|東京|toronto|toulouse|turin|torino|valencia
nova york|nova iorque|nueva york|berlim|munique|milão|viena|copenhague|genebra|bruxelas|varsóvia|moscou|moscovo|tóquio
vancouver|vienna|wien|vilnius|warsaw|warszawa|washington dc|washington d.c.|wrocław|zagreb|北京|上海|서울
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(folded(word) for word in text.strip().replace("\n", "|").split("|"))


_PLACES = _words(_COUNTRIES) | _words(_CITIES)
_NO_NAMES = _words(_WAYS_OF_WORKING) | OPEN_ENDS
_BETWEEN_PLACES = re.compile(r"\s*[,/|()–—·;]\s*|\s+-\s+|-(?=[a-z]{2}$)")
_ABOUT_A_PLACE = re.compile(r"\b(?:greater|metropolitan|area|region|metro|grande|regiao|e|y|and|und|et)\b")
_BETWEEN_DATES = re.compile(r"[\s,./:–—-]+")
_IN_DATES = frozenset({"de", "do", "da", "del", "of", "a", "ate", "to", "bis"})


def organisation(value: Any) -> str | None:
    """The name of an organisation; of a list, the first entry that is one.

    >>> organisation(["Remote", "Vela Telecom"]), organisation("May 2020")
    ('Vela Telecom', None)
    """
    if isinstance(value, list | tuple):
        return next((name for entry in value if isinstance(entry, str) and (name := organisation(entry))), None)
    name = string(value)
    return name if name is not None and (len(name) > _MAX_CHARS or _is_name(name)) else None


@lru_cache(maxsize=8192)
def _is_name(text: str) -> bool:
    bare = folded(text)
    return not (bare in _NO_NAMES or _is_date(bare) or _is_place(bare))


def _is_date(bare: str) -> bool:
    words = [word for word in _BETWEEN_DATES.split(bare) if word and word not in _IN_DATES]
    return bool(words) and all(word in MONTHS or word.isdecimal() for word in words)


def _is_place(bare: str) -> bool:
    parts = [part for part in _BETWEEN_PLACES.split(bare) if part]
    named = [part for part in parts if part in _PLACES or _ABOUT_A_PLACE.sub("", part).strip() in _PLACES]
    others = [part for part in parts if part not in named]
    return bool(named) and all(part in _NO_NAMES or len(part) == 2 for part in others)
