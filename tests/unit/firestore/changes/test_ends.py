"""What follows from each end of a stream."""

import pytest

from transforms.firestore.changes.ends import End, end_of_call, end_of_target

INDEX = "The query requires an index. You can create it here: https://console.firebase.google.com/…token"


@pytest.mark.parametrize(
    "code", ["OK", "ABORTED", "INTERNAL", "UNAVAILABLE", "UNKNOWN", "CANCELLED", "DEADLINE_EXCEEDED"]
)
@pytest.mark.parametrize("was_current", [True, False])
def test_most_ends_mean_nothing(code, was_current):
    assert end_of_call(code, "Received RST_STREAM with error code 0", was_current=was_current) is End.RECONNECT


@pytest.mark.parametrize(
    ("code", "message", "was_current", "end"),
    [
        ("UNAUTHENTICATED", "Request had invalid credentials", True, End.RECONNECT),
        ("UNAUTHENTICATED", "Request had invalid credentials", False, End.FAIL),
        ("PERMISSION_DENIED", "Missing or insufficient permissions", True, End.FAIL),
        ("NOT_FOUND", "The database (default) does not exist for project p", False, End.FAIL),
        ("FAILED_PRECONDITION", INDEX, False, End.FAIL),
        ("INVALID_ARGUMENT", "the query is wrong", False, End.FAIL),
        ("UNIMPLEMENTED", "", False, End.FAIL),
        ("RESOURCE_EXHAUSTED", "too much is buffered", True, End.RECONNECT),
        ("INVALID_ARGUMENT", "the resume token is not one of this server's", False, End.COMPARE),
        ("FAILED_PRECONDITION", "The requested snapshot version is too old. read_time", False, End.COMPARE),
    ],
)
def test_the_ends_that_mean_something(code, message, was_current, end):
    assert end_of_call(code, message, was_current=was_current) is end


@pytest.mark.parametrize(
    ("code", "was_current", "n_removed", "end"),
    [
        ("DEADLINE_EXCEEDED", False, 1, End.COMPARE),
        ("DEADLINE_EXCEEDED", True, 0, End.RECONNECT),
        ("UNAVAILABLE", False, 1, End.RECONNECT),
        ("UNAVAILABLE", False, 2, End.COMPARE),
        ("OK", True, 0, End.RECONNECT),
        ("PERMISSION_DENIED", False, 2, End.FAIL),
        ("RESOURCE_EXHAUSTED", False, 2, End.RECONNECT),
    ],
)
def test_a_target_that_never_catches_up_is_compared(code, was_current, n_removed, end):
    assert end_of_target(code, "", was_current=was_current, n_removed=n_removed) is end
