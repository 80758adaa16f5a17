"""firestore.indexes.json: composite indexes as declared, and exemptions."""

import json

from pipeline.specs import SPECS, read_spec
from transforms.records.indexes import firestore_indexes
from transforms.records.spec import load_spec

SPEC = load_spec(
    """
name: people
schema_version: 1
full_collection: people_full
flat_collection: people
key: {name: person_id, from: id}
fields:
  tags: {type: strings, from: tags}
  age: {type: integer, from: age}
indexes:
  - [tags contains, age desc]
  - [age, person_id asc]
""",
    "people.yaml",
)


def test_indexes_have_the_format_of_the_firebase_cli():
    assert json.loads(json.dumps(firestore_indexes(SPEC))) == {
        "indexes": [
            {
                "collectionGroup": "people",
                "queryScope": "COLLECTION",
                "fields": [
                    {"fieldPath": "tags", "arrayConfig": "CONTAINS"},
                    {"fieldPath": "age", "order": "DESCENDING"},
                ],
            },
            {
                "collectionGroup": "people",
                "queryScope": "COLLECTION",
                "fields": [
                    {"fieldPath": "age", "order": "ASCENDING"},
                    {"fieldPath": "person_id", "order": "ASCENDING"},
                ],
            },
        ],
        "fieldOverrides": [
            {"collectionGroup": "people", "fieldPath": "_meta", "indexes": []},
            {"collectionGroup": "people_full", "fieldPath": "*", "indexes": []},
            {"collectionGroup": "people_full", "fieldPath": "_meta", "indexes": []},
        ],
    }


def test_every_shipped_spec_declares_indexes_of_its_queried_collection_only():
    for name in SPECS.names():
        spec = read_spec(name)
        made = firestore_indexes(spec)["indexes"]
        assert made
        assert {index["collectionGroup"] for index in made} == {spec.queried_collection}
