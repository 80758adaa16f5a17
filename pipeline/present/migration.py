"""What an audit of a container says: what a copy would refuse, use and cost. Plain data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pipeline.present.tables import Column, Table
from transforms.dead_letters.folder import DeadLetterFolder

SHOWN_IDS = 5  # per reason; all of them are in the files

# US dollars; list prices of Firestore in a multi-region such as nam5. https://cloud.google.com/firestore/pricing
_USD_PER_WRITE, _USD_PER_READ = 0.18 / 100_000, 0.06 / 100_000


def refused_table(folder: DeadLetterFolder, job_id: str) -> Table:
    """Per reason how many items are refused, the ids of the first ones and what is wrong with one of them."""
    found: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    messages: dict[str, str] = {}
    for _, stored in folder.stored():
        for each in stored:
            if each.job_id != job_id:
                continue
            code = str(each.fields["code"])
            counts[code] += 1
            messages.setdefault(code, str(each.fields["message"]))
            if len(found[code]) < SHOWN_IDS:
                found[code].append(str(each.fields.get("record_id") or f"at {each.fields.get('position')}"))
    rows = [
        (code, f"{counts[code]:,}", ", ".join(ids) + (" …" if counts[code] > len(ids) else ""), messages[code])
        for code, ids in sorted(found.items())
    ]
    columns = (Column("refused because"), Column("items", is_number=True), Column("ids"), Column("the first one"))
    return Table("what a copy would refuse", columns, (tuple(rows),))


def estimate(counts: Mapping[str, int], max_request_units_per_s: float | None, *, is_ttl_on: bool = True) -> str:
    """What a copy would use and cost, as a sentence.

    Args:
      counts: of the audit.
      max_request_units_per_s: that the copy may use; None for no bound.
      is_ttl_on: whether items with a `ttl` expire in the container.

    >>> estimate({"request_units": 400_000, "audited": 200_000, "read": 200_000, "items_with_ttl": 0}, 200.0)
    'a copy uses about 4,000 request units, 20 s at 200 per second, 200,000 document writes and reads (about 0.48 USD)'
    """
    units, documents = counts.get("request_units", 0) / 100, counts.get("audited", 0)
    usd = documents * (_USD_PER_WRITE + _USD_PER_READ)
    text = f"a copy uses about {units:,.0f} request units"
    if max_request_units_per_s:
        text += f", {units / max_request_units_per_s:,.0f} s at {max_request_units_per_s:g} per second"
    text += f", {documents:,} document writes and reads (about {usd:,.2f} USD)"
    expiring = counts.get("items_with_ttl", 0)
    if expiring and not is_ttl_on:
        text += (
            f"; {expiring:,} items have a ttl, which Cosmos DB ignores, as the container's time to live is off, while "
            "their documents get expire_at and would expire: take ttl out of the items first"
        )
    elif expiring:
        text += f"; {expiring:,} items have a ttl, which becomes expire_at: add a time-to-live policy for that field"
    return text
