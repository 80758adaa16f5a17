"""What nobody expected is the record's own dead letter, unless all of a batch's records meet it."""

import struct
import traceback

import grpc
import pytest
from google.api_core.exceptions import GoogleAPICallError

from transforms import errors
from transforms.errors import JobError, RecordError
from transforms.firestore.client import RpcError
from transforms.unexpected import FAILURES, UNEXPECTED, Unexpected


def failing(error):
    try:
        raise error
    except UNEXPECTED as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        TypeError("secret"),
        KeyError("secret"),
        ValueError("secret"),
        RecursionError(),
        ZeroDivisionError(),
        AttributeError("x"),
        UnicodeDecodeError("utf-8", b"secret", 0, 1, "secret"),
        OverflowError("secret"),
        StopIteration("secret"),
        struct.error("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_it_is_named_by_its_kind_and_its_place_in_the_code_without_content(error):
    found = Unexpected("reading the record", 1).as_record_error(failing(error))
    assert isinstance(found, RecordError)
    assert found.code == "UNEXPECTED_ERROR"
    assert found.message.startswith(
        f"reading the record failed unexpectedly: {type(error).__name__} in test_unexpected.py, line "
    )


def test_what_is_known_of_a_record_stays_as_it_is():
    known = RecordError("TOO_DEEP", "why")
    assert Unexpected("reading the record", 1).as_record_error(known) is known


@pytest.mark.parametrize(
    "error",
    [
        *(each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.FirebeamError)),
        RpcError,
        grpc.RpcError,
        GoogleAPICallError,
        OSError,
        ConnectionError,
        TimeoutError,
        MemoryError,
        KeyboardInterrupt,
    ],
    ids=lambda error: error.__name__,
)
def test_what_says_something_else_is_never_taken_for_the_record_s(error):
    assert issubclass(error, FAILURES) is (error is RecordError)


def met(raised, n_records, **how):
    unexpected = Unexpected("reading the record", n_records, **how)
    for error in raised:
        unexpected.as_record_error(failing(error))
    return unexpected


def test_the_same_error_of_every_record_of_a_large_batch_stops_the_job():
    with pytest.raises(
        JobError, match=r"^all 20 records of a batch failed for one reason: reading the record failed unexpectedly"
    ) as raised:
        met([TypeError("secret")] * 20, 20).check_not_alike()
    assert "secret" not in "".join(traceback.format_exception(raised.value)).replace('TypeError("secret")', "")


@pytest.mark.parametrize(
    ("raised", "n_records"),
    [
        ([], 0),
        ([TypeError()] * 19, 19),
        ([TypeError()] * 20, 21),
        ([TypeError()] * 20 + [KeyError()], 21),
    ],
    ids=["none", "few", "not all", "several reasons"],
)
def test_otherwise_it_goes_on(raised, n_records):
    met(raised, n_records).check_not_alike()


def test_records_that_have_failed_before_may_all_fail_alike():
    met([TypeError()] * 20, 20, may_be_alike=True).check_not_alike()
