"""A table of orders as the input of ingest, whatever database it is in."""

from __future__ import annotations

from pathlib import Path

_SPEC = """\
name: orders
schema_version: 1
collection: orders
label: order
key:
  name: order_id
  from: [id]
fields:
  amount:
    type: string
    description: What it costs.
    from: [amount]
"""


def ingest_of(location: str, folder: Path) -> list[str]:
    """The flags of an ingest of the table in batches of ten; its spec goes into the folder."""
    spec = folder / "orders.yaml"
    spec.write_text(_SPEC)
    return [f"--input={location}", f"--spec={spec}", "--batch_size=10"]
