"""The Firestore indexes of a spec, as `firebase deploy --only firestore:indexes` reads them.

    flat collection   composite indexes as the spec declares them; `_meta` exempt; the same of one `collection`
    full collection   every field exempt: it is read by id, and each automatic index costs writes. An indexed field
                      that only grows, such as a point in time, caps a collection at 500 writes a second.

Format: https://firebase.google.com/docs/reference/firestore/indexes; the field path `*` sets a collection's default
(https://cloud.google.com/firestore/native/docs/query-data/index-overview#single-field_index_exemptions).
"""

from __future__ import annotations

from typing import Any

from transforms.records.model import IndexField, RecordSpec

META_FIELD = "_meta"
ALL_FIELDS = "*"


def firestore_indexes(spec: RecordSpec) -> dict[str, Any]:
    """What belongs into firestore.indexes.json.

    >>> from transforms.records.load import load_spec
    >>> text = "{name: a, schema_version: 1, full_collection: f, flat_collection: c, key: {name: id, from: id}, "
    >>> spec = load_spec(text + "fields: {n: {type: number, from: n}}, indexes: [[id, n desc]]}", "a.yaml")
    >>> firestore_indexes(spec)["indexes"][0]["fields"]
    [{'fieldPath': 'id', 'order': 'ASCENDING'}, {'fieldPath': 'n', 'order': 'DESCENDING'}]
    """
    return {
        "indexes": [
            {
                "collectionGroup": spec.queried_collection,
                "queryScope": "COLLECTION",
                "fields": [_index_field(part) for part in index],
            }
            for index in spec.indexes
        ],
        "fieldOverrides": [
            _exemption(spec.queried_collection, META_FIELD),
            *(
                _exemption(collection, field_path)
                for collection in spec.collections[:-1]
                for field_path in (ALL_FIELDS, META_FIELD)
            ),
        ],
    }


def _index_field(part: IndexField) -> dict[str, str]:
    if part.mode == "CONTAINS":
        return {"fieldPath": part.name, "arrayConfig": part.mode}
    return {"fieldPath": part.name, "order": part.mode}


def _exemption(collection: str, field_path: str) -> dict[str, Any]:
    return {"collectionGroup": collection, "fieldPath": field_path, "indexes": []}
