"""docs/schema.md is what the spec for profiles says, and a page shows all of a spec."""

from pathlib import Path

import pytest

from pipeline.specs import SPECS, read_spec
from transforms.records.describe import META_FIELDS, schema_markdown
from transforms.records.table import META_PREFIX, meta_columns

ROOT = Path(__file__).parents[3]


def test_the_page_in_docs_is_up_to_date():
    page = (ROOT / "docs" / "schema.md").read_text("utf-8")
    assert page == schema_markdown(read_spec("profiles")), "run: firebeam schema --spec=profiles > docs/schema.md"


@pytest.mark.parametrize("name", SPECS.names())
def test_a_page_names_every_field_cleaner_and_collection(name):
    spec = read_spec(name)
    page = schema_markdown(spec)
    for field in spec.fields:
        assert f"| `{field.name}` | {field.type.value} |" in page
        for source in field.sources:
            assert f"| `{source.cleaner}` | {field.type.value} |" in page
    for collection in spec.collections:
        assert f"`{collection}/{{{spec.key.name}}}`" in page


def test_every_shipped_field_is_described():
    for name in SPECS.names():
        assert [field.name for field in read_spec(name).fields if not field.description] == []


def test_the_page_lists_the_same_meta_fields_as_the_table_has():
    assert [f"{META_PREFIX}{name}" for name, _, _ in META_FIELDS] == [column.name for column in meta_columns()]


def test_tables_keep_their_columns():
    for line in schema_markdown(read_spec("profiles")).splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
