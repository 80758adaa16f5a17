"""How files are read: the flags of whatever reads records from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.run.flags import option
from transforms.models.options import CUSTOM_ID, KEYS, REPAIRS, SAFE

if TYPE_CHECKING:
    from transforms.inputs.options import ReadOptions


@dataclass(frozen=True, kw_only=True)
class ReadingFlags:
    """The flags of reading."""

    input_format: str = option(
        "auto",
        group="Input",
        choices=("auto", "jsonl", "json", "csv", "parquet"),
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

    def reading(self, batch_size: int) -> ReadOptions:
        """How files are read, in batches of this many records. Raises UsageError about a flag."""
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
        )
