"""Errors that nobody expected while one record was processed: the record's own, unless every record has the same.

A shape that no code has foreseen must not end a run, or else one line of a million does. But a mistake of the code that
meets every record is the job's, and stops it before all of its input has become dead letters.

| what is raised                              | what follows                                    |
|---------------------------------------------|-------------------------------------------------|
| RecordError                                 | the record's dead letter, with that code        |
| one of UNEXPECTED                           | the record's dead letter, UNEXPECTED_ERROR      |
| the same of UNEXPECTED, by all of a batch   | JobError                                        |
| anything else: other FirebeamErrors, errors | passed on: it is about batch, job or service,   |
| of services and of the machine              | and other records would fare no better          |

    unexpected = Unexpected("flattening the record", len(records))
    for record in records:
        try:
            …
        except FAILURES as error:
            dead_letters.append(DeadLetter.of(STEP, record, unexpected.as_record_error(error)))
    unexpected.check_not_alike()
"""

from __future__ import annotations

import struct
import traceback

from transforms.errors import JobError, RecordError

# All that a value can cause, wherever it meets code that expects another one. Others are about the machine or the job:
# no error of the services, nor of ours, is one of these.
UNEXPECTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
    struct.error,
)
# What makes a dead letter of one record.
FAILURES = (RecordError, *UNEXPECTED)

_FEWEST_ALIKE = 20


class Unexpected:
    """Counts the errors that nobody expected of the records of one batch in one step.

    Args:
      doing: what fails; begins the message.
      n_records: how many there are.
      may_be_alike: whether all of them may fail alike, because they have failed before.
    """

    def __init__(self, doing: str, n_records: int, *, may_be_alike: bool = False):
        self._doing, self._n_records, self._may_be_alike = doing, n_records, may_be_alike
        self._n_errors, self._reasons = 0, set[str]()

    def as_record_error(self, error: Exception) -> RecordError:
        """The error of the one record. One of UNEXPECTED names its kind and its place in the code, and no content.

        >>> Unexpected("reading the record", 1).as_record_error(KeyError("secret")).message
        'reading the record failed unexpectedly: KeyError'
        """
        if isinstance(error, RecordError):
            return error
        frames = traceback.extract_tb(error.__traceback__)
        place = f" in {frames[-1].filename.rpartition('/')[2]}, line {frames[-1].lineno}" if frames else ""
        message = f"{self._doing} failed unexpectedly: {type(error).__name__}{place}"
        self._n_errors += 1
        self._reasons.add(message)
        return RecordError("UNEXPECTED_ERROR", message)

    def check_not_alike(self) -> None:
        """Raises JobError if all records met the same error, and they are too many for that to be chance."""
        is_everywhere = self._n_errors >= max(self._n_records, _FEWEST_ALIKE)
        if is_everywhere and len(self._reasons) == 1 and not self._may_be_alike:
            (reason,) = self._reasons
            raise JobError(
                f"all {self._n_records} records of a batch failed for one reason: {reason}; it is a mistake of "
                "Firebeam, please report it"
            )
