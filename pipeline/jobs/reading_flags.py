"""How files are read: the flags of whatever reads records from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.run.flags import option
from transforms.inputs.modes import AUTO, ESCAPE, IDS, INPUT_FORMATS, NESTED_ARRAYS, PLAIN, REFUSE, TAGGED, TYPES
from transforms.models.options import CUSTOM_ID, KEYS, REPAIRS, SAFE

if TYPE_CHECKING:
    from transforms.inputs.options import ReadOptions


@dataclass(frozen=True, kw_only=True)
class ReadingFlags:
    """The flags of reading."""

    input_format: str = option(
        AUTO,
        group="Input",
        choices=INPUT_FORMATS,
        help="format of the files; auto looks at their content",
    )
    records_path: str | None = option(
        None,
        group="Input",
        metavar="PATH",
        help="path to the records within a JSON object or a model's answer, such as data.items",
    )
    encoding: str = option(
        "utf-8",
        group="Input",
        metavar="NAME",
        help="encoding of text files, such as utf-16 or windows-1252; a file with UTF-8's byte order mark is UTF-8",
        pattern=r"[a-z0-9_-]+",
    )
    drop_columns: tuple[str, ...] = option(
        (),
        group="Input",
        metavar="NAME",
        help="columns of CSV and Parquet to leave out; #3 is the third; repeat it or separate with commas",
    )
    rename_columns: tuple[str, ...] = option(
        (),
        group="Input",
        metavar="OLD=NEW",
        help="columns of CSV and Parquet to call otherwise; #3=NAME names the third; repeat it or separate with commas",
    )
    binary_as_text: bool = option(
        False, group="Input", help="binary columns of Parquet are UTF-8 text, which some writers do not say"
    )

    repair: str = option(
        SAFE,
        group="Model results",
        choices=REPAIRS,
        help="how near-JSON in a model's answer is read: safe edits only what leaves no doubt; aggressive also guesses",
    )
    key: str = option(
        CUSTOM_ID,
        group="Model results",
        choices=KEYS,
        help="which id a model's answer is stored under, where both are there: that of the request or the record's own",
    )

    keyed_by_id: bool = option(
        False, group="Input", help='records of JSON stand under their ids, as in {"p1": {…}, "p2": {…}}'
    )
    types: str = option(
        PLAIN,
        group="Input",
        choices=TYPES,
        help="tagged: JSON names timestamps, geopoints, references and bytes as Firebeam or other export tools do",
    )
    nested_arrays: str = option(
        REFUSE,
        group="Input",
        choices=NESTED_ARRAYS,
        help="an array directly in an array, which Firestore does not take: refuse the record, wrap the inner one in a "
        "map, or store the outer one as JSON text",
    )
    ids: str = option(
        REFUSE,
        group="Records",
        choices=IDS,
        help="ids that Firestore does not take, such as a/b: refuse the record, or escape them, as in a%2Fb",
    )

    @property
    def escapes_ids(self) -> bool:
        """Whether ids that Firestore does not take are escaped."""
        return self.ids == ESCAPE

    def reading(self, batch_size: int, documents: str = "") -> ReadOptions:
        """How files are read. Raises UsageError about a flag.

        Args:
          batch_size: records per batch.
          documents: what the names of the database's documents begin with.
        """
        from transforms.inputs.options import ReadOptions  # which `--help` need not wait for

        return ReadOptions(
            batch_size=batch_size,
            input_format=self.input_format,
            records_path=self.records_path,
            encoding=self.encoding,
            drop_columns=tuple(self.drop_columns),
            rename_columns=tuple(self.rename_columns),
            binary_as_text=self.binary_as_text,
            repair=self.repair,
            key=self.key,
            keyed_by_id=self.keyed_by_id,
            types=self.types,
            nested_arrays=self.nested_arrays,
            documents=documents if self.types == TAGGED else "",
        )
