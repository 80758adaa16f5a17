"""What nobody expected is the record's own dead letter, unless all of a batch's records meet it."""

import pytest

from transforms.errors import JobError, RecordError
from transforms.inputs.unexpected import UNEXPECTED, check_not_alike, of_unexpected


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
    ],
    ids=lambda error: type(error).__name__,
)
def test_it_is_named_by_its_kind_and_its_place_in_the_code_without_content(error):
    found = of_unexpected(failing(error))
    assert isinstance(found, RecordError)
    assert found.code == "UNEXPECTED_ERROR"
    assert found.message.startswith(
        f"reading the record failed unexpectedly: {type(error).__name__} in test_unexpected_errors.py, line "
    )


def test_the_same_error_of_every_record_of_a_large_batch_stops_the_job():
    errors = [failing(TypeError()) for _ in range(20)]
    with pytest.raises(JobError, match=r"^none of 20 records could be read, for one reason: reading the record failed"):
        check_not_alike(errors, 20)


@pytest.mark.parametrize(
    ("errors", "n_records"),
    [
        ([], 0),
        ([TypeError()] * 19, 19),
        ([TypeError()] * 20, 21),
        ([TypeError()] * 20 + [KeyError()], 21),
    ],
    ids=["none", "few", "not all", "several reasons"],
)
def test_otherwise_it_goes_on(errors, n_records):
    check_not_alike([failing(error) for error in errors], n_records)
