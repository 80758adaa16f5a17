"""Which column of BigQuery a column of Parquet becomes, by the type that the file declares.

| Parquet, as Arrow says it                          | column                                                  |
|----------------------------------------------------|---------------------------------------------------------|
| integers up to 64 bits; unsigned of 64 bits        | INT64; NUMERIC                                          |
| float of 16, 32, 64 bits                           | FLOAT64                                                 |
| decimal(p, s)                                      | NUMERIC, BIGNUMERIC or STRING, see `decimal_type`       |
| boolean, text, binary                              | BOOL, STRING, BYTES                                     |
| date, time                                         | DATE, TIME                                              |
| timestamp with a zone, without one                 | TIMESTAMP, DATETIME                                     |
| list of any of these                               | ARRAY                                                   |
| struct, map, list of anything else, JSON           | JSON                                                    |
| duration                                           | NUMERIC, in seconds                                     |
| dictionary, run-end encoded, UUID                  | that of their values; STRING                            |
| null                                               | none                                                    |
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from transforms.errors import UsageError
from transforms.inputs.formats.arrow_values import type_problem
from transforms.sql.columns import SourceColumn, decimal_type

_types = pa.types
_SCALARS = (
    (_types.is_boolean, "BOOL"),
    (_types.is_uint64, "NUMERIC"),
    (_types.is_integer, "INT64"),
    (_types.is_floating, "FLOAT64"),
    (_types.is_duration, "NUMERIC"),
    (_types.is_date, "DATE"),
    (_types.is_time, "TIME"),
)
_TEXTS = (_types.is_string, _types.is_large_string, _types.is_string_view)
_BINARIES = (_types.is_binary, _types.is_large_binary, _types.is_binary_view, _types.is_fixed_size_binary)
_LISTS = (
    _types.is_list,
    _types.is_large_list,
    _types.is_fixed_size_list,
    _types.is_list_view,
    _types.is_large_list_view,
)


def columns_of(schema: pa.Schema, path: str) -> list[SourceColumn]:
    """The columns of a file.

    Args:
      path: of the file, for messages.

    Raises:
      UsageError: a column has no name of its own, or values that have no plain form.

    >>> schema = pa.schema({"n": pa.int8(), "d": pa.decimal128(38, 9)})
    >>> [(column.name, column.type) for column in columns_of(schema, "a.parquet")]
    [('n', 'INT64'), ('d', 'NUMERIC')]
    """
    found = []
    for field in schema:
        if problem := type_problem(field.type):
            raise UsageError(f"--source {path}: column {field.name!r} cannot be read: {problem}")
        kind, is_array = _form(field.type)
        if kind:
            found.append(SourceColumn(field.name, str(field.type), kind, "", is_array=is_array))
    names = [column.name for column in found]
    if twice := next((name for name in names if not name or names.count(name) > 1), None):
        raise UsageError(f"--source {path}: {twice!r} is no name of one column; give each column a name of its own")
    return found


def _form(kind: pa.DataType) -> tuple[str, bool]:
    """The type of the column, empty for none, and whether it is REPEATED."""
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name in ("arrow.uuid", "arrow.json"):
            return ("STRING" if kind.extension_name == "arrow.uuid" else "JSON"), False
        return ("BOOL", False) if isinstance(kind, pa.Bool8Type) else _form(kind.storage_type)
    if _types.is_dictionary(kind) or _types.is_run_end_encoded(kind):
        return _form(kind.value_type)
    if _is_any(kind, _LISTS):
        item, is_nested = _form(kind.value_type)
        return (item, True) if item not in ("", "JSON") and not is_nested else ("JSON", False)
    return _scalar(kind), False


def _scalar(kind: pa.DataType) -> str:
    if _types.is_null(kind):
        return ""
    if _types.is_decimal(kind):
        return decimal_type(kind.precision, kind.scale)
    if _types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "DATETIME"
    if _is_any(kind, _TEXTS):
        return "STRING"
    if _is_any(kind, _BINARIES):
        return "BYTES"
    return next((name for is_kind, name in _SCALARS if is_kind(kind)), "JSON")


def _is_any(kind: pa.DataType, kinds: Iterable[object]) -> bool:
    return any(is_kind(kind) for is_kind in kinds)  # type: ignore[operator]
