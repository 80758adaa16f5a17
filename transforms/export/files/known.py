"""The files that an incremental export has read: kept by the last run's results, eight characters each.

results/{attempt}: _files, _files_of ──known──▶ fingerprints ──▶ only other files are read ──▶ remembered ──▶ results
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transforms.errors import UsageError
from transforms.export.source_tables import ConcludeSourceExport
from transforms.inputs.files import FINGERPRINT_DIGITS

MOST_FILES = 100_000  # a document of Firestore has 1 MiB, https://firebase.google.com/docs/firestore/quotas
_FILES, _FILES_OF = "_files", "_files_of"
_BYTES = FINGERPRINT_DIGITS // 2


@dataclass(frozen=True)
class ConcludeFileExport:
    """The last act of an export of files; picklable. May be done again: it changes nothing then.

    Attributes:
      of_table: merges and compares.
      files: how many were read.
      remembered: fingerprints of all files that the table has rows of; None where nobody asks for them.
      files_of: what they are good for; kept beside them.
    """

    of_table: ConcludeSourceExport
    files: int
    remembered: tuple[str, ...] | None
    files_of: str

    def __call__(self) -> dict[str, Any]:
        """As `ConcludeSourceExport`."""
        results = {"files_read": self.files, **self.of_table()}
        if self.remembered is not None:
            results |= {_FILES: packed(self.remembered), _FILES_OF: self.files_of}
        return results

    def clean_up(self) -> None:
        """As `ConcludeSourceExport.clean_up`."""
        self.of_table.clean_up()


def known(results: Mapping[str, Any], files_of: str) -> frozenset[str]:
    """The fingerprints that the results of a run have, if they are good for the same thing."""
    kept = base64.b64decode(results.get(_FILES, "") if results.get(_FILES_OF) == files_of else "")
    return frozenset(kept[at : at + _BYTES].hex() for at in range(0, len(kept), _BYTES))


def packed(fingerprints: Iterable[str]) -> str:
    """
    >>> sorted(known({"_files": packed(["00000000000b", "00000000000a"]), "_files_of": "x"}, "x"))
    ['00000000000a', '00000000000b']
    """
    return base64.b64encode(b"".join(map(bytes.fromhex, sorted(fingerprints)))).decode()


def check_can_be_remembered(fingerprints: Collection[str]) -> None:
    """Raises UsageError for more files than the results of a run can have."""
    if len(fingerprints) > MOST_FILES:
        raise UsageError(
            f"--mode=incremental remembers at most {MOST_FILES:,} files, and these are {len(fingerprints):,}; name "
            "fewer of them, or join small ones"
        )
