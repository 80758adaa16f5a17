"""The emulator takes the longest field path that the codec takes, and refuses the first byte more."""

import pytest

from tests.unit.firestore.test_values import LONGEST
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer, Landed, Refused
from transforms.firestore.messages import Document

pytestmark = pytest.mark.emulator


def put(value, out):
    """Encodes without any check."""
    if isinstance(value, dict):
        out.map_value.SetInParent()
        for name, member in value.items():
            put(member, out.map_value.fields[name])
    elif isinstance(value, list):
        out.array_value.SetInParent()
        for item in value:
            put(item, out.array_value.values.add())
    else:
        out.integer_value = value


def written(target, record):
    document = Document(name=target.document_name("docs/a"))
    for name, value in record.items():
        put(value, document.fields[name])
    group = AtomicGroup((messages.update(document.SerializeToString()),))
    return Committer(target.connect()).commit([group]).outcomes[0]


@pytest.mark.parametrize("record", LONGEST, ids=range(len(LONGEST)))
def test_it_counts_as_the_codec_does(target, record):
    assert isinstance(written(target, record), Landed)
    ((name, value), *_) = record.items()
    assert isinstance(written(target, {"x" + name: value}), Refused)
