"""The documents of a record, as one group of writes that lands together or not at all. Plain Python.

    enriched_profiles/{id}               the record as it came            ┐
    candidates/{id}                      what the spec made of it         ├ one AtomicGroup
    enriched_profiles/{id}/versions/{n}  the state, with --keep_versions  ┘

A spec of one collection makes one document. All documents of a record carry the same `_meta`:

    schema_version   of the spec, an integer
    version          1, and one more for every change of the content
    content_hash     of the record and the spec, 32 hex digits
    created_at       when the record was written first
    updated_at       when it was written last
    source, position where the record was read, so that the last of several with one id can win
    job_id, batch_id who wrote it
    attempt          which run of the job that was, counted from 1; 0 if the ledger has forgotten it
    part             which of several records of a model's answer it is, counted from 1; absent otherwise
    repairs          what was repaired so that a model's answer could be read; absent otherwise
    source_fields    what the line around such an answer had of its own; absent otherwise
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from transforms.firestore import field_paths, messages
from transforms.firestore.committer import AtomicGroup
from transforms.firestore.limits import check_document
from transforms.firestore.values import encoded_fields
from transforms.upsert.entries import Flat
from transforms.upsert.layout import META_FIELD, FormSource, Layout
from transforms.upsert.modes import MERGE, OVERWRITE
from transforms.upsert.stored import NOTHING, StoredDocument
from transforms.upsert.versions import Candidate, RunIdentity, created_at, next_version

_VERSIONS = "versions"


def meta_of(
    entry: Flat, candidate: Candidate, layout: Layout, run: RunIdentity, now: datetime.datetime
) -> dict[str, Any]:
    """The `_meta` of a record's documents. Overwriting does not read, so every record is new to it."""
    stored = NOTHING if layout.mode == OVERWRITE else entry.stored
    meta = {
        "schema_version": layout.schema_version,
        "version": next_version(candidate, stored),
        "content_hash": entry.content_hash,
        "created_at": created_at(stored, now),
        "updated_at": now,
        "source": candidate.source,
        "position": candidate.position,
        "job_id": run.job_id,
        "batch_id": candidate.batch_id,
        "attempt": run.attempt,
    }
    answer = entry.record.answer
    if candidate.part:
        meta["part"] = candidate.part
    if answer and answer.repairs:
        meta["repairs"] = list(answer.repairs)
    if answer and answer.source_fields:
        meta["source_fields"] = dict(answer.source_fields)
    meta.update(layout.meta_of(entry.record))
    return meta


def group_of(entry: Flat, meta: Mapping[str, Any], layout: Layout) -> AtomicGroup:
    """The writes of a record. Raises RecordError if one of its documents would pass a limit of Firestore."""
    encoded_meta = encoded_fields({META_FIELD: meta})
    forms = layout.forms(FormSource(entry.content, entry.record.value, entry.flat, meta["updated_at"]))
    documents = [
        messages.document(prefix + entry.key, form.content, encoded_meta)
        for prefix, form in zip(layout.prefixes, forms, strict=True)
    ]
    for document, form in zip(documents, forms, strict=True):
        check_document(document, indexed=form.indexed)
    stored = entry.stored or (None,) * len(forms)
    writes = [
        messages.update(document) + _condition(before, layout) + _mask(form.fields, layout)
        for document, before, form in zip(documents, stored, forms, strict=True)
    ]
    if layout.keep_versions:
        versions = f"{layout.prefixes[0]}{entry.key}/{_VERSIONS}/"
        state = messages.document(versions + str(meta["version"]), forms[0].content, encoded_meta)
        writes.append(messages.update(state))
        if (outdated := meta["version"] - layout.keep_versions) > 0:
            writes.append(messages.delete(versions + str(outdated)))
    return AtomicGroup(tuple(writes))


def _condition(stored: StoredDocument | None, layout: Layout) -> bytes:
    if layout.mode == OVERWRITE:
        return b""
    return messages.IF_ABSENT if stored is None else messages.if_unchanged_since(stored.update_time)


def _mask(fields: Mapping[str, Any], layout: Layout) -> bytes:
    """Merging writes the leaves that the record has; what it lacks stays."""
    if layout.mode != MERGE:
        return b""
    leaves = (leaf for leaf in field_paths.leaves(fields) if leaf[0] != META_FIELD)
    return messages.update_mask([*map(field_paths.render, leaves), META_FIELD])
