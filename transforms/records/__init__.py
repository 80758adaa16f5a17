"""Record specs: what a record is, declared in one YAML file, and what flattens, checks and documents it. No Beam.

    YAML ─▶ yaml_nodes ─▶ load ─▶ RecordSpec ─▶ key_of, flatten     one record
                                            ├─▶ firestore_indexes   firestore.indexes.json
                                            └─▶ schema_markdown     docs/schema.md

Import from `transforms.records.spec`.
"""
