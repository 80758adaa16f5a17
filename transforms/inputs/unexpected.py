"""Errors that nobody expected while one record was read: the record's own, unless every record has the same.

A shape that no code has foreseen must not end a run, or else one line of a million does. But a mistake of the code that
meets every record is the job's, and stops it before all of its input has become dead letters.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from transforms.errors import JobError, RecordError

# All that a value can cause, wherever it meets code that expects another one. Others are about the machine or the job.
UNEXPECTED = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

_FEWEST_ALIKE = 20


def of_unexpected(error: Exception) -> RecordError:
    """The error of the one record: it names the kind and the place in the code, and shows no content.

    >>> of_unexpected(KeyError("secret")).message
    'reading the record failed unexpectedly: KeyError'
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].filename.rpartition('/')[2]}, line {frames[-1].lineno}" if frames else ""
    return RecordError("UNEXPECTED_ERROR", f"reading the record failed unexpectedly: {type(error).__name__}{place}")


def check_not_alike(errors: Sequence[Exception], n_records: int) -> None:
    """Raises JobError if all records of a batch met the same error, and they are too many for that to be chance."""
    reasons = {of_unexpected(error).message for error in errors}
    if len(errors) >= max(n_records, _FEWEST_ALIKE) and len(reasons) == 1:
        raise JobError(
            f"none of {n_records} records could be read, for one reason: {reasons.pop()}; it is a mistake of Firebeam, "
            "please report it"
        ) from errors[0]
