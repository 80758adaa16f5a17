"""What a run leaves about its ranges: one file for the plan, one for every range, then one report of all.

    FOLDER/differences/{job_id}/{attempt}/plan.json            read time and ranges, the same for a resumed run
                                          range-00000.jsonl    a line a difference
                                          range-00000.json     how many documents were found to be what
                                          …

Every file has a deterministic name and is replaced as a whole, so a range that is compared again leaves one result.
Local files can be read by their owner only.
"""

import datetime
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from transforms import files
from transforms.firestore.ranges import Bound, NameRange
from transforms.firestore.tagged_json import iso
from transforms.verify.comparison import Compared

_FOLDER = "differences"


@dataclass(frozen=True, slots=True)
class RangePiece:
    """One range to compare.

    Attributes:
      batch_id: names it in the ledger and on disk.
      read_time: of stores that keep their past.
    """

    batch_id: str
    span: NameRange
    read_time: datetime.datetime


@dataclass(frozen=True, slots=True)
class Parts:
    """The files of one run.

    Attributes:
      folder: where dead letters go: local or gs://.
      job_id, attempt: of the run.
    """

    folder: str
    job_id: str
    attempt: int

    def read_plan(self) -> list[RangePiece] | None:
        """The ranges; None if none are planned yet."""
        if not files.exists(self._path("plan.json")):
            return None
        with _opened(self._path("plan.json")) as file:
            plan = json.load(file)
        read_time = datetime.datetime.fromisoformat(plan["moment"].removesuffix("Z") + "+00:00")
        spans = [NameRange(_bound(span["start"]), _bound(span["end"])) for span in plan["ranges"]]
        return [RangePiece(f"range-{number:05d}", span, read_time) for number, span in enumerate(spans)]

    def write_plan(self, read_time: datetime.datetime, spans: list[NameRange]) -> None:
        """Keeps the ranges of a run."""
        ranges = [{"start": span.start and asdict(span.start), "end": span.end and asdict(span.end)} for span in spans]
        content = json.dumps({"moment": iso(read_time), "ranges": ranges}, ensure_ascii=True)
        self._write("plan.json", content)

    @contextmanager
    def written(self, batch_id: str) -> Iterator[Callable[[str], None]]:
        """Takes the lines of a range and stores them when the block ends; nothing if it fails."""
        with replaced(self._path(f"{batch_id}.jsonl")) as write:
            yield write

    def write_found(self, batch_id: str, found: Compared) -> None:
        """Keeps what was found in a range."""
        self._write(f"{batch_id}.json", json.dumps(asdict(found)))

    def read_found(self) -> Compared:
        """What was found in all ranges together."""
        total = Compared()
        for piece in self.read_plan() or ():
            with _opened(self._path(f"{piece.batch_id}.json")) as file:
                total.add(Compared(**json.load(file)))
        return total

    def lines(self) -> Iterator[str]:
        """The differences of all ranges, in order."""
        for piece in self.read_plan() or ():
            with _opened(self._path(f"{piece.batch_id}.jsonl")) as file:
                for line in file:
                    yield line.decode().rstrip("\n")

    def remove_others(self) -> None:
        """Removes what earlier runs of the job have left."""
        base = files.join(self.folder, _FOLDER, self.job_id)
        if files.is_local(base):  # whose name may have brackets
            found = [str(path) for path in Path(base).glob("*/*") if path.is_file()]
        else:
            found = [file.path for file in files.match(f"{base}/*/*")]
        files.delete(path for path in found if not path.startswith(self.path))

    @property
    def path(self) -> str:
        """The folder of the run."""
        return files.join(self.folder, _FOLDER, self.job_id, f"{self.attempt:06d}")

    def _write(self, name: str, content: str) -> None:
        with files.replaced_file(self._path(name), "application/json") as file:
            file.write(content.encode())

    def _path(self, name: str) -> str:
        return files.join(self.path, name)


@contextmanager
def replaced(path: str) -> Iterator[Callable[[str], None]]:
    """Takes lines, one after the other, and puts them in the place of a file when the block ends well."""
    with files.replaced_file(path, "application/x-ndjson") as file:
        yield lambda line: _write(file, line)


def _write(file: BinaryIO, line: str) -> None:
    file.write(f"{line}\n".encode())


def _opened(path: str) -> BinaryIO:
    return files.open_file(path)


def _bound(stored: dict[str, Any] | None) -> Bound | None:
    return None if stored is None else Bound(**stored)
