"""Stored documents as tests describe them."""

import datetime
from typing import Any

from transforms.firestore.messages import Document
from transforms.firestore.values import encode_fields
from transforms.upsert.layout import META_FIELD
from transforms.upsert.stored import StoredDocument

_META = ("version", "content_hash", "created_at", "updated_at", "source", "position", "job_id", "batch_id", "attempt")


def stored_document(
    update_time: datetime.datetime, create_time: datetime.datetime, *members: Any, **named: Any
) -> StoredDocument:
    """A document whose `_meta` has these members, in the order of `_META` where they are not named."""
    meta = dict(zip(_META, members)) | named  # noqa: B905 - the rest may be named
    document = Document()
    encode_fields({META_FIELD: {name: value for name, value in meta.items() if value is not None}}, document.fields)
    document.update_time.FromDatetime(update_time)
    document.create_time.FromDatetime(create_time)
    return StoredDocument(document)
