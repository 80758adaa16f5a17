"""The parts of a spec that say how fields are stored and found: `bigquery:` and `indexes:`.

    bigquery: {partition_by: open_time, partition_type: DAY, cluster_by: [symbol]}
    indexes:
      - [seniority_level, overall_rating desc]
      - [primary_skills contains, years_experience desc]

A field in an index is ascending unless it says `desc`, or `contains` for array-contains.
"""

from __future__ import annotations

from collections.abc import Mapping

from transforms.records.cleaners import FieldType
from transforms.records.fields import Field
from transforms.records.model import BigQueryOptions, IndexField
from transforms.records.yaml_nodes import YamlNode, did_you_mean

_BIGQUERY_KEYS = ("partition_by", "partition_type", "cluster_by")
_PARTITION_TYPES = ("HOUR", "DAY", "MONTH", "YEAR")
_UPDATE_TIME = "update_time"  # a timestamp that every table has; the default

# https://cloud.google.com/bigquery/docs/clustered-tables#limitations
_MAX_CLUSTER_FIELDS = 4
_NOT_CLUSTERABLE = (FieldType.NUMBER, FieldType.STRINGS, FieldType.JSON)

# https://firebase.google.com/docs/firestore/quotas#indexes
_MAX_INDEX_FIELDS = 100
_MODES = {"asc": "ASCENDING", "desc": "DESCENDING", "contains": "CONTAINS"}


def read_bigquery(node: YamlNode | None, fields: Mapping[str, Field]) -> BigQueryOptions:
    """The options under `bigquery:`.

    Raises:
      SpecError: BigQuery could not make such a table.
    """
    if node is None:
        return BigQueryOptions()
    found = node.mapping(_BIGQUERY_KEYS)
    partition_by = None
    if "partition_by" in found and found["partition_by"].text() != _UPDATE_TIME:
        partition_by = _known(found["partition_by"], found["partition_by"].text(), fields)
        if fields[partition_by].type is not FieldType.TIMESTAMP:
            found["partition_by"].fail(
                f"{partition_by} is a {fields[partition_by].type.value}; use a timestamp field or {_UPDATE_TIME}"
            )
    cluster_by: list[str] = []
    for entry in found["cluster_by"].entries() if "cluster_by" in found else ():
        name = _known(entry, entry.text(), fields)
        if fields[name].type in _NOT_CLUSTERABLE:
            entry.fail(f"{name} is a {fields[name].type.value}; cluster by string, integer, bool or timestamp fields")
        if name in cluster_by:
            entry.fail(f"{name} is named twice; remove one")
        cluster_by.append(name)
    if len(cluster_by) > _MAX_CLUSTER_FIELDS:
        found["cluster_by"].fail(f"must name at most {_MAX_CLUSTER_FIELDS} fields, got {len(cluster_by)}")
    unit = found["partition_type"].choice(_PARTITION_TYPES) if "partition_type" in found else "DAY"
    return BigQueryOptions(partition_by, unit, tuple(cluster_by))


def read_indexes(
    node: YamlNode | None, fields: Mapping[str, Field], stored_as: Mapping[str, str] | None = None
) -> tuple[tuple[IndexField, ...], ...]:
    """The composite indexes under `indexes:`.

    Args:
      fields: by name.
      stored_as: by name, where the queried documents have a field; None if they have each under its name.

    Raises:
      SpecError: Firestore could not make such an index.
    """
    indexes: dict[tuple[IndexField, ...], YamlNode] = {}
    for entry in node.entries() if node is not None else ():
        index = tuple(_index_field(part, fields, stored_as) for part in entry.entries())
        if not 2 <= len(index) <= _MAX_INDEX_FIELDS:
            entry.fail(f"must name 2 to {_MAX_INDEX_FIELDS} fields, got {len(index)}; one field is indexed anyway")
        if len({part.name for part in index}) < len(index):
            entry.fail("names a field twice; remove one")
        if sum(part.mode == "CONTAINS" for part in index) > 1:
            entry.fail("has more than one contains; Firestore allows one in an index")
        if index in indexes:
            entry.fail(f"is the same index as in line {indexes[index].line}; remove one")
        indexes[index] = entry
    return tuple(indexes)


def _index_field(node: YamlNode, fields: Mapping[str, Field], stored_as: Mapping[str, str] | None) -> IndexField:
    name, _, mode = node.text().partition(" ")
    mode = mode.strip().lower() or "asc"
    _known(node, name, fields)
    if mode not in _MODES:
        node.fail(f"{mode!r} is no way to index {name}; write asc, desc or contains")
    is_list = fields[name].type is FieldType.STRINGS
    if fields[name].type is FieldType.JSON:
        node.fail(f"{name} is a json field, and maps have no order; index another field")
    if is_list != (mode == "contains"):
        right = "contains" if is_list else "asc or desc"
        node.fail(f"{name} is a {fields[name].type.value} field; index it with {right}")
    if stored_as is not None and name not in stored_as:
        node.fail(f"{name} is not in the record as it came; index a field whose first source is a path of names")
    return IndexField(name if stored_as is None else stored_as[name], _MODES[mode])


def _known(node: YamlNode, name: str, fields: Mapping[str, Field]) -> str:
    if name not in fields:
        node.fail(f"{name!r} is no field; {did_you_mean(name, fields)}")
    return name
