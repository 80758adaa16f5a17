"""The names that Firestore gives and takes: of databases and of documents.

Source of the limits: "Quotas and limits" in the Firestore documentation.
"""

from __future__ import annotations

from transforms.errors import RecordError

DEFAULT_DATABASE = "(default)"
DATABASE_ID = r"\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9]"

MAX_DOCUMENT_ID_BYTES = 1_500


def check_document_id(document_id: str) -> None:
    """Raises RecordError `INVALID_ID` if Firestore would refuse this document id.

    >>> check_document_id("ada")
    >>> check_document_id("a/b")
    Traceback (most recent call last):
    transforms.errors.RecordError: INVALID_ID: a document id must not contain "/"
    """
    try:
        n_bytes = len(document_id.encode())
    except UnicodeEncodeError:
        raise RecordError("INVALID_ID", "a document id must be valid Unicode, without lone surrogates") from None
    if not document_id:
        raise RecordError("INVALID_ID", "a document id must not be empty")
    if "/" in document_id:
        raise RecordError("INVALID_ID", 'a document id must not contain "/"')
    if document_id in (".", ".."):
        raise RecordError("INVALID_ID", 'a document id must not be "." or ".."')
    if len(document_id) >= 4 and document_id.startswith("__") and document_id.endswith("__"):
        raise RecordError("INVALID_ID", "document ids of the form __id__ are reserved by Firestore")
    if n_bytes > MAX_DOCUMENT_ID_BYTES:
        raise RecordError(
            "INVALID_ID", f"a document id must not exceed {MAX_DOCUMENT_ID_BYTES:,} bytes, got {n_bytes:,}"
        )
