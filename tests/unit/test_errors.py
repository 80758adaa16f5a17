"""The one classifier."""

import pickle

import pytest

from transforms.errors import Kind, RecordError, SpecError, classify, code_of_http


@pytest.mark.parametrize(
    ("code", "message", "guarded", "kind"),
    [
        ("UNAVAILABLE", "", False, Kind.TRANSIENT),
        ("DEADLINE_EXCEEDED", "", True, Kind.TRANSIENT),
        ("RESOURCE_EXHAUSTED", "Quota exceeded.", False, Kind.TRANSIENT),
        ("RESOURCE_EXHAUSTED", "gRPC message exceeds maximum size 4194304: 5000441", False, Kind.TOO_LARGE),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", False, Kind.TOO_LARGE),
        ("INVALID_ARGUMENT", "Transaction too big. Decrease transaction size.", False, Kind.TOO_LARGE),
        ("INVALID_ARGUMENT", "Cannot convert an array value in an array value.", False, Kind.RECORD),
        ("OUT_OF_RANGE", "", False, Kind.RECORD),
        ("ALREADY_EXISTS", "Document already exists: x", True, Kind.CONFLICT),
        ("ALREADY_EXISTS", "Document already exists: x", False, Kind.RECORD),
        ("FAILED_PRECONDITION", "the stored version does not match", True, Kind.CONFLICT),
        ("ABORTED", "contention", True, Kind.CONFLICT),
        ("ABORTED", "contention", False, Kind.TRANSIENT),
        ("NOT_FOUND", "No document to update: projects/p/databases/d/documents/a/database", True, Kind.CONFLICT),
        ("NOT_FOUND", "The database (default) does not exist for project p", True, Kind.JOB),
        (
            "FAILED_PRECONDITION",
            "The Cloud Firestore API is not available for Datastore Mode database x",
            False,
            Kind.JOB,
        ),
        ("PERMISSION_DENIED", "", False, Kind.JOB),
        ("UNAUTHENTICATED", "", True, Kind.JOB),
    ],
)
def test_a_status_has_one_consequence(code, message, guarded, kind):
    assert classify(code, message, guarded=guarded) is kind


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (400, "invalid", "INVALID_ARGUMENT"),
        (401, "", "UNAUTHENTICATED"),
        (403, "accessDenied", "PERMISSION_DENIED"),
        (403, "quotaExceeded", "RESOURCE_EXHAUSTED"),
        (404, "", "NOT_FOUND"),
        (429, "", "RESOURCE_EXHAUSTED"),
        (500, "", "INTERNAL"),
        (502, "", "UNAVAILABLE"),
        (503, "", "UNAVAILABLE"),
        (507, "", "INTERNAL"),
        (418, "", "INVALID_ARGUMENT"),
    ],
)
def test_rest_answers_have_grpc_codes(status, reason, code):
    assert code_of_http(status, reason) == code


@pytest.mark.parametrize("error", [SpecError("a.yaml", 3, "fields", "is empty"), RecordError("MISSING_ID", "no id")])
def test_errors_cross_process_borders(error):
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_a_spec_error_names_file_line_and_key():
    assert str(SpecError("a.yaml", 3, "fields.x", "is empty")) == "a.yaml:3:fields.x: is empty"
