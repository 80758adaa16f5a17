"""What is wrong with a record before a model is asked about it: no call is made for one that is refused anyway.

Plain Python.
"""

from __future__ import annotations

from transforms.batch import Record
from transforms.errors import RecordError
from transforms.firestore.values import encoded_fields
from transforms.records.spec import FieldTally, RecordSpec
from transforms.unexpected import UNEXPECTED
from transforms.upsert.forms import without_meta
from transforms.upsert.records import key_of, value_for


def problem_of(record: Record, spec: RecordSpec) -> str | None:
    """The code of what is wrong with a record; None if nothing is.

    Args:
      spec: without what it needs of an answer: see `RecordSpec.without_needs_of`.
    """
    try:
        key = key_of(record, spec)
        encoded_fields(without_meta(record.value))
        spec.flatten(value_for(record, spec), key, FieldTally())
    except RecordError as error:
        return error.code
    except UNEXPECTED:
        return "UNEXPECTED_ERROR"
    return None
