"""Names of migrations: an application checks its own before it loads any client. Plain Python."""

from __future__ import annotations

from transforms.errors import RecordError, UsageError
from transforms.firestore.names import check_document_id


def check_migration(name: str) -> str:
    """The name again.

    >>> check_migration("students")
    'students'

    Raises:
      UsageError: it cannot be the id of a document.
    """
    try:
        check_document_id(name)
    except RecordError as error:
        raise UsageError(f"a migration's name becomes a document id: {error.message}; got {name[:100]!a}") from None
    return name
