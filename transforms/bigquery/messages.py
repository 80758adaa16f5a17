"""What BigQuery says of a row or of a request, without the values that it quotes. No Beam.

    Could not convert value to integer. Field: age; Value: eight  ──▶ Could not convert value to integer. Field: age
    Value 1561983194123456 for field seen of the destination      ──▶ Value … for field seen of the destination
    table p:d.t is outside the allowed bounds.                        table p:d.t is outside the allowed bounds
    A new reason to complain of Ada, 36                           ──▶ A new reason to … of …

BigQuery quotes values with and without quotation marks, at any place of a sentence. What is known to be the form of a
message is therefore matched as a whole, and shown with a text of its own, which is the same whatever the value is. Of
any other message only the words that BigQuery's messages are made of are shown: what is wrong can mostly be guessed,
and a value that is none of these words cannot come through.

Messages are reduced where they arrive, in `failures.py` and `storage_failures.py`, so that no error, ledger or log can
have one that is not. The forms are those that users of the service report, the emulators' among them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

GONE = "…"

_NAME = r"[\w.\[\]$]+"
_TYPE = r"(?:an? )?[A-Za-z][\w ]*(?:<[\w<>, ]*>)?"
_NUMBER = re.compile(r"-?\d+")

# Behind these words stands a number that counts or locates; any other number may be a value.
_COUNTED = frozenset({"position", "location", "byte", "rows", "errors", "bad", "percent", "ascii"})

_VOCABULARY = """
a about access add added after again all allowed already also an and any are argument array arrays as ascii aside at
backend bad badly base64 be because been before being between beyond bigger bignumeric bigquery bool boolean bound
bounds but by byte bytes can cannot cast changed character characters clustered clustering column columns compatible
complete concurrent conflict contain contains conversion convert could couldn't count create data database dataset
date datetime day days decimal decode default delimiter denied depth descriptor destination details detected did
digits disk do does doesn't double duplicate each element elements empty encoding encountered end enough error errors
escape exceed exceeded exceeds exist exists expected expression extra failed failure few field fields file files first
float float64 floating for form format found from full function future geography get give given giving greater had has
have identifier if in including incompatible incorrect index input insert int64 integer internal interval into invalid
is it its job jobs json key keys large larger last later least length less limit limitations line list literal load
location long longer look malformed many match matched matches matching max maximum may memory message messages min
minimum missing mode more most must name names near negative nested new no non-repeated not null nullable number
numeric object of off on one only operation optional or out over overflow parse parsed parser parsing part partition
partitioned partitioning past payload percent permission please point position precision processing project proto
provided query quota quote quoted range reached read reading reason received record records refer relative repeated
request requested required resources retried retry round-trip row row_errors rows scale schema seconds sent service
set should size some source specified stage start started starting statement std::string stopped storage streaming
string strings struct such syntax system table tables target terminated than that the their there this through time
timeout timestamp to token too truncated try two type types unable unavailable undefined unexpected union unknown
unparseable unrecognized unsupported up update update/merge updates user utf-8 utf8 value values view views was way
were when where which while will with within without write writing year years you your zero
"""
_WORDS = frozenset(_VOCABULARY.split())


class RowMessage(NamedTuple):
    """A message about a row.

    Attributes:
      text: without any value.
      column: which the message says to be at fault; empty where it does not.
    """

    text: str
    column: str = ""

    def __str__(self) -> str:
        return f"{self.text}. Field: {self.column}" if self.column else self.text


def of_row(message: str) -> RowMessage:
    """What is wrong with a row, of a streamed or of a loaded one.

    >>> str(of_row("Error while reading data, error message: Could not convert value to float. Field: n; Value: 4/5"))
    'Could not convert value to float. Field: n'
    >>> str(of_row("JSON parsing error in row starting at position 43: Array specified for non-repeated field: a.b."))
    'JSON parsing error in row starting at position 43: Array specified for non-repeated field: a.b'
    >>> str(of_row("The service complains of Ada (36) in a new way: Lovelace is invalid."))
    'The service … of … in a new way: … is invalid'
    """
    rest = _LEAD.sub("", _FILE.sub("", message.strip()))
    place = _PLACE.match(rest)
    said = rest[place.end() :] if place else rest
    column = ""
    if found := _FIELD.search(said):
        said, column = said[: found.start()], found["name"]
    if found and len(_FIELD_WORD.findall(rest)) > 1:
        column = ""  # one of them stands in a value
    text = _shown(_INPUT.sub("", said).strip(" ."))
    return RowMessage(f"{place['text']}: {text}" if place else text, column)


def of_request(code: str, message: str) -> str:
    """What is wrong with a request as a whole.

    Args:
      code: canonical gRPC code name. Only what blames the content can quote values of it; what blames projects, tables,
        permissions or the service names those.

    >>> of_request("NOT_FOUND", "Not found: Table p:d.t was not found in location EU")
    'Not found: Table p:d.t was not found in location EU'
    >>> of_request("INVALID_ARGUMENT", "Bad int64 value: 12a")
    'Bad int64 value'
    """
    if code in _ABOUT_CONTENT:
        return str(of_row(message))
    return _quoted_gone(_ANNOUNCED.sub("", message.strip())).rstrip(" .")


_ABOUT_CONTENT = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE"})
# What is not about the row: that there is an error, the file, the class of the error.
_LEAD = re.compile(r"Error while reading data, error message: ")
_FILE = re.compile(r"\s*(?:\(error code: \w+\)|\bFile: gs://\S+)\s*$")
_PLACE = re.compile(
    r"(?P<text>JSON parsing error in row starting at position \d+|JSON parsing error"
    r"|Error detected while parsing row starting at position: \d+|Couldn't convert value to [\w ]+)"
    r"(?: at file: \S+?)?[:.] (?:Error: )?"
)
_FIELD = re.compile(r"[\s.,;]*\bField: (?P<name>[\w.]*\w)(?:; Value: .*|;)?$", re.DOTALL)
_FIELD_WORD = re.compile(r"\bField: ")
_INPUT = re.compile(r"\s+Input: .*", re.DOTALL)
_QUOTED = re.compile(r"""(?<!\w)'(?:.*'(?!\w)|.*)|"(?:.*"|.*)""", re.DOTALL)
_ANNOUNCED = re.compile(r"(?<=\(bad value\)): .*|\s+Input: .*|[;.]?\s*\b[Vv]alue: .*", re.DOTALL)

# Each is matched as a whole. A value takes as much as it can, so that one which looks like a part of the form hides
# more, never less.
_FORMS = tuple(
    (re.compile(pattern, re.DOTALL), shown)
    for pattern, shown in (
        (rf"(Cannot convert value to {_TYPE} \(bad value\)):.*", r"\1"),
        (rf"Could not convert value(?: '.*')? to ({_TYPE})", r"Could not convert value to \1"),
        (
            rf"Could not parse '.*' as ({_TYPE}) for field ({_NAME}) \(position \d+\) .*",
            r"Could not parse '…' as \1 for field \2",
        ),
        (
            rf"Could not parse '.*' as ({_TYPE})\. (Required format is [YMDHS:.\[\]\- ]+)",
            r"Could not parse '…' as \1. \2",
        ),
        (rf"Could not parse '.*' as ({_TYPE})", r"Could not parse '…' as \1"),
        (r"((?:Invalid|Bad) \w+ value):.*", r"\1"),
        (r"(Invalid (?:date|datetime|time|timestamp)(?: string)?)[: ].*", r"\1: …"),
        (
            rf"Value .* (for field {_NAME} of the destination table \S+ is outside the allowed bounds)(\.[^.'\"]*)?",
            r"Value … \1\2",
        ),
        (rf"(Timestamp field value is out of range): .* (on field {_NAME})", r"\1: … \2"),
        (r"(Timestamp field value is out of range):.*", r"\1"),
        (rf"(The value for column '{_NAME}' is out of valid \w+ range):.*", r"\1"),
        (rf"((?:[Nn]o such|Array specified for non-repeated|Missing required) field: {_NAME})", r"\1"),
        (rf"(Field value of {_NAME} cannot be empty)", r"\1"),
        (rf"(This field: {_NAME} is not a record)", r"\1"),
        (
            rf"(Field {_NAME}: \w+\(\d+\) has maximum length \d+ but got a value with length \d+ on field {_NAME})",
            r"\1",
        ),
        (
            rf"(Provided Schema does not match Table \S+\. Field {_NAME} has changed \w+ from \w+ to \w+)",
            r"\1",
        ),
        (r"(Input number:) .* (cannot round-trip through string representation)(?:; .*)?", r"\1 … \2"),
    )
)
_OF_FIELD = re.compile(rf"(?P<head>(?:Field|field|column|Column) {_NAME}: )(?P<said>.*)", re.DOTALL)


def _shown(said: str) -> str:
    """A form that is known, without its values; of any other one its words."""
    for form, shown in _FORMS:
        if found := form.fullmatch(said):
            return found.expand(shown)
    if found := _OF_FIELD.fullmatch(said):
        return found["head"] + _words_of(found["said"])
    return _words_of(said)


def _words_of(said: str) -> str:
    """The words of BigQuery's own in a text, and the numbers that count or locate.

    >>> _words_of("Bad character (ASCII 0) encountered near 'O'Hara' in row 7")
    "Bad character (ASCII 0) encountered near '…' in row …"
    """
    kept: list[str] = []
    for word in _quoted_gone(said).split():
        bare = word.strip(".,:;()[]!?").lower()
        announced = kept[-1].strip(".,:;()[]").lower() if kept else ""
        is_kept = bare in _WORDS or (announced in _COUNTED and _NUMBER.fullmatch(bare))
        if is_kept or word.strip(".,:;()").strip("'\"") == GONE:
            kept.append(word)
        elif not kept or kept[-1] != GONE:
            kept.append(GONE)
    return " ".join(kept).rstrip(" .")


def _quoted_gone(text: str) -> str:
    """A text without what stands between quotation marks, from the first to the last of a kind, or to its end.

    >>> _quoted_gone("Couldn't parse 'Ada's' near \\"x\\"")
    'Couldn\\'t parse \\'…\\' near "…"'
    """
    # A quotation mark within a word is an apostrophe.
    return _QUOTED.sub(lambda found: f"{found[0][0]}{GONE}{found[0][0]}", text)
