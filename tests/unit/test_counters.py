"""Counters are declared once: what follows from the declarations, and what may be declared."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import JOBS
from transforms.counters import Breakdown, Counter, Counters, Role
from transforms.listen.counters import CHANGES
from transforms.outcomes import RECORDS
from transforms.verify.counters import DOCUMENTS

DOCS = Path(__file__).parents[2] / "docs"


COUNTED = {"ingest.md": RECORDS, "verify.md": DOCUMENTS, "listen.md": CHANGES}


@pytest.mark.parametrize(("page", "counters"), COUNTED.items())
def test_the_documentation_has_the_table_of_the_counters(page, counters):
    assert counters.as_markdown() in (DOCS / page).read_text(), f"docs/{page} needs\n{counters.as_markdown()}"


def test_every_job_says_what_it_counts():
    assert {name: entry.usage.config.counters for name, entry in JOBS.items()} == {
        "ingest": RECORDS,
        "export": RECORDS,
        "migrate": RECORDS,
        "replay": RECORDS,
        "verify": DOCUMENTS,
        "listen": CHANGES,
    }


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param((Counter("a", "…"),), id="no total"),
        pytest.param((Counter("a", "…", role=Role.TOTAL), Counter("b", "…", role=Role.TOTAL)), id="two totals"),
        pytest.param((Counter("a", "…", role=Role.PART), Counter("b", "…", role=Role.TOTAL)), id="not the first"),
    ],
)
def test_exactly_one_counter_is_the_sum(declared):
    with pytest.raises(ValueError, match=r"^exactly one counter must be the total, and stand first$"):
        Counters("batches", declared)


words = st.text(min_size=1, max_size=5)


@given(st.dictionaries(st.tuples(words, words), st.integers(1, 9)))
def test_kinds_that_are_kept_in_a_document_are_found_in_it(kinds):
    breakdown = Breakdown("reasons", "has_reasons", ("step", "code"))
    assert dict(breakdown.found_in({"reasons": breakdown.listed(kinds)})) == kinds
