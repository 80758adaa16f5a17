"""The Bloom filter of Firestore: bits as its documentation counts them, never a false "not there"."""

import hashlib

import pytest
from google.cloud.firestore_v1 import types
from hypothesis import given
from hypothesis import strategies as st

from transforms.firestore.changes.bloom import BloomFilter

Message = types.BloomFilter.pb(types.BloomFilter()).__class__


def message(names, n_bits=64, hash_count=3):
    """As the documentation describes the server's side, bit by bit."""
    bits = set()
    for name in names:
        digest = hashlib.md5(name.encode()).digest()
        h1, h2 = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
        bits |= {(h1 + i * h2) % 2**64 % n_bits for i in range(hash_count)}
    made = Message(hash_count=hash_count)
    n_bytes = -(-n_bits // 8)
    made.bits.bitmap = bytes(sum(1 << k for k in range(8) if byte * 8 + k in bits) for byte in range(n_bytes))
    made.bits.padding = n_bytes * 8 - n_bits
    return made


@given(names=st.lists(st.text(), max_size=20), n_bits=st.integers(1, 300), hash_count=st.integers(1, 16))
def test_what_is_in_the_set_is_always_found(names, n_bits, hash_count):
    bloom = BloomFilter.of(message(names, n_bits, hash_count))
    assert all(bloom.may_contain(name) for name in names)


def test_almost_everything_else_is_not():
    inside, outside = ([f"projects/p/databases/d/documents/users/{side}{n}" for n in range(200)] for side in "io")
    bloom = BloomFilter.of(message(inside, n_bits=200 * 16, hash_count=11))
    assert sum(map(bloom.may_contain, outside)) < 5


def test_of_a_name_the_bits_are_those_of_its_md5():
    # MD5("") = d41d8cd98f00b204 e9800998ecf8427e
    h1, h2 = 0x04B2008FD98C1DD4, 0x7E42F8EC980980E9
    bits = {h1 % 32, (h1 + h2) % 2**64 % 32}
    exact = Message(hash_count=2)
    exact.bits.bitmap = sum(1 << bit for bit in bits).to_bytes(4, "little")
    assert BloomFilter.of(exact).may_contain("")
    for bit in bits:
        without = Message(hash_count=2)
        without.bits.bitmap = (0xFFFFFFFF ^ (1 << bit)).to_bytes(4, "little")
        assert not BloomFilter.of(without).may_contain("")


@pytest.mark.parametrize(
    ("bitmap", "padding", "hash_count"), [(b"", 0, 0), (b"", 0, 3), (b"\x01", 8, 3), (b"\x01", -1, 3), (b"\x01", 0, 0)]
)
def test_a_filter_that_says_nothing_sensible_is_none(bitmap, padding, hash_count):
    assert BloomFilter.of(Message(bits={"bitmap": bitmap, "padding": padding}, hash_count=hash_count)) is None
