"""Reads a collection back, as a dict of ids and decoded fields."""

from __future__ import annotations

from typing import Any

from transforms.firestore import messages
from transforms.firestore.fetch import fetch_all
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import decode_fields


def read_collection(target: FirestoreTarget, path: str) -> dict[str, dict[str, Any]]:
    """All documents of the collection at `path`, subcollections' own included by their parent's path."""
    parent, _, collection_id = path.rpartition("/")
    query = messages.StructuredQuery()
    query.from_.add(collection_id=collection_id)
    client = target.connect()
    name = f"{target.name}/documents" + (f"/{parent}" if parent else "")
    answers = fetch_all(client, lambda: client.run_query(name, query, 60.0))
    return {
        answer.document.name.rpartition("/")[2]: decode_fields(answer.document.fields)
        for answer in answers
        if answer.HasField("document")
    }
