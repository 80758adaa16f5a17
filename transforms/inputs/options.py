"""How files are read: all that can be chosen, checked once. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, fields

from transforms.batch import MAX_BATCH_BYTES
from transforms.errors import UsageError
from transforms.inputs.encodings import ENCODINGS, UTF_8
from transforms.inputs.formats.columns import ColumnOptions
from transforms.inputs.identity import Named
from transforms.inputs.modes import AUTO, INPUT_FORMATS, NESTED_ARRAYS, PLAIN, REFUSE, TYPES
from transforms.models.options import CUSTOM_ID, SAFE, AnswerOptions

_MIB = 1024 * 1024
_ALLOWED = {
    "input_format": INPUT_FORMATS,
    "encoding": ENCODINGS,
    "types": TYPES,
    "nested_arrays": NESTED_ARRAYS,
}
# Options that the identity of an input has always named; later ones are named where they are not at their default.
_ALWAYS_NAMED = frozenset(
    {"batch_size", "max_batch_bytes", "input_format", "records_path", "slice_bytes", "max_record_bytes"}
)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What can be chosen.

    Attributes:
      batch_size: records in a batch, those that cannot be parsed included.
      max_batch_bytes: bytes of source in a batch, unless a single record has more.
      input_format: auto, jsonl, json, csv or parquet.
      records_path: dotted path of the records in a JSON document or a model's answer, such as `data.profiles`.
      slice_bytes: size of a slice of JSON Lines or Parquet.
      max_record_bytes: larger records become dead letters.
      drop_columns, rename_columns: of CSV and Parquet, see `ColumnOptions`.
      binary_as_text: whether binary values of Parquet are UTF-8 text.
      encoding: of text, unless a file begins with the byte order mark of UTF-8.
      repair, key: how a model's answer becomes records, see `AnswerOptions`.
      keyed_by_id: whether records of JSON stand under their ids: `{"p1": {…}, "p2": {…}}`.
      types: plain, or tagged if JSON names types of Firestore's, see `tagged_types.py`.
      nested_arrays: refuse, wrap or json, see `shapes.py`.
      documents: with tagged types: what the name of a document begins with whose path alone is known.
      for_table: whether records become rows of a table: times of Parquet are exact, and no line is a model's answer.
    """

    batch_size: int = 500
    max_batch_bytes: int = MAX_BATCH_BYTES
    input_format: str = AUTO
    records_path: str | None = None
    slice_bytes: int = 16 * _MIB
    max_record_bytes: int = 16 * _MIB
    drop_columns: tuple[str, ...] = ()
    rename_columns: tuple[str, ...] = ()
    binary_as_text: bool = False
    encoding: str = UTF_8
    repair: str = SAFE
    key: str = CUSTOM_ID
    keyed_by_id: bool = False
    types: str = PLAIN
    nested_arrays: str = REFUSE
    documents: str = ""
    for_table: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_batch_bytes", "slice_bytes", "max_record_bytes"):
            value = getattr(self, name)
            if value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        for name, allowed in _ALLOWED.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)}")
        if self.records_path is not None and not all(self.records_path.split(".")):
            raise UsageError(f"records_path must be field names joined by dots, got {self.records_path!r}")
        _ = self.columns, self.answers  # which check theirs

    @property
    def path(self) -> tuple[str, ...]:
        """The names of `records_path`."""
        return tuple(self.records_path.split(".")) if self.records_path else ()

    @property
    def columns(self) -> ColumnOptions:
        """What is to be done with columns."""
        return ColumnOptions(self.drop_columns, self.rename_columns)

    @property
    def answers(self) -> AnswerOptions:
        """How a model's answer becomes records."""
        return AnswerOptions(self.repair, self.key, self.path)

    @property
    def identity(self) -> Named:
        """All options: each decides where batches end, or which of them hold what. See `identity.py`."""
        values = {option.name: (getattr(self, option.name), option.default) for option in fields(self)}
        return Named(
            "ReadOptions",
            {name: value for name, (value, default) in values.items() if name in _ALWAYS_NAMED or value != default},
        )


DEFAULT = ReadOptions()
