"""Reading a file whole, the way every test of this folder looks at it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from transforms.batch import Batch, DeadLetter, Record
from transforms.inputs.files import match_inputs
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import Slice, plan_slices, read_slice


class Result(NamedTuple):
    slices: list[Slice]
    batches: list[Batch[Record]]

    @property
    def records(self) -> list[Record]:
        return [record for batch in self.batches for record in batch.entries]

    @property
    def values(self) -> list[Any]:
        return [record.value for record in self.records]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        return [letter for batch in self.batches for letter in batch.dead_letters]

    @property
    def codes(self) -> list[str]:
        return [letter.code for letter in self.dead_letters]


Read = Callable[..., Result]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """read(content, name=…, **options): writes a file with these bytes and reads it."""

    def read_content(content: bytes, name: str = "input", **options: Any) -> Result:
        path = tmp_path / name
        path.write_bytes(content)
        (file,) = match_inputs([str(path)])
        settings = ReadOptions(**options)
        slices = plan_slices(file, settings)
        return Result(slices, [batch for piece in slices for batch in read_slice(piece, settings)])

    return read_content
