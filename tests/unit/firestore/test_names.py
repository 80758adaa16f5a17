"""Names that Firestore takes."""

import pytest

from transforms.errors import RecordError
from transforms.firestore.names import check_document_id


@pytest.mark.parametrize("document_id", ["ada", "é" * 750, "...", "__a", "a__", "__", "a b", "1", " "])
def test_legal_document_ids_pass(document_id):
    check_document_id(document_id)


@pytest.mark.parametrize(
    ("document_id", "rule"),
    [
        ("", "must not be empty"),
        ("a/b", 'must not contain "/"'),
        (".", 'must not be "." or ".."'),
        ("..", 'must not be "." or ".."'),
        ("__x__", "of the form __id__ are reserved"),
        ("____", "of the form __id__ are reserved"),
        ("é" * 751, "must not exceed 1,500 bytes, got 1,502"),
        ("a\ud800", "must be valid Unicode"),
    ],
)
def test_illegal_document_ids_are_refused_with_the_rule_they_break(document_id, rule):
    with pytest.raises(RecordError) as refused:
        check_document_id(document_id)
    assert refused.value.code == "INVALID_ID"
    assert rule in refused.value.message
