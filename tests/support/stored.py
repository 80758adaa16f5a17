"""Stored documents as tests describe them."""

import datetime
from typing import Any

from transforms.firestore.messages import Document
from transforms.firestore.values import encode_fields
from transforms.upsert.layout import META_FIELD
from transforms.upsert.stored import StoredDocument


def stored_document(
    update_time: datetime.datetime, create_time: datetime.datetime, *members: Any, **named: Any
) -> StoredDocument:
    """A document with `_meta`: version, content_hash, created_at, updated_at, source, position, job_id, batch_id."""
    names = ("version", "content_hash", "created_at", "updated_at", "source", "position", "job_id", "batch_id")
    meta = dict(zip(names, members)) | named  # noqa: B905 - the rest may be named
    document = Document()
    encode_fields({META_FIELD: {name: value for name, value in meta.items() if value is not None}}, document.fields)
    document.update_time.FromDatetime(update_time)
    document.create_time.FromDatetime(create_time)
    return StoredDocument(document)
