"""Which documents a pattern means, and what it refuses."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import UsageError
from transforms.firestore.collection_patterns import CollectionPattern, all_parameters, by_query
from transforms.firestore.query import Query

segment = st.text("abc.+*(){}[]$^-_é", min_size=1, max_size=4).filter(
    lambda text: not set(text) & set("{}") and text not in (".", "..", "**")
)


@pytest.mark.parametrize(
    ("text", "query", "exact"),
    [
        ("users", Query("users"), True),
        ("users/ada/posts", Query("users/ada/posts"), True),
        ("users/{user}/posts", Query.group("posts"), False),
        ("**/posts", Query.group("posts"), True),
    ],
)
def test_a_pattern_is_a_query_and_says_whether_that_finds_nothing_else(text, query, exact):
    pattern = CollectionPattern(text)
    assert (pattern.query, pattern.is_exact) == (query, exact)


@pytest.mark.parametrize(
    ("text", "path", "parameters"),
    [
        ("users", "users/ada", {}),
        ("users", "teams/ada", None),
        ("users", "users/ada/posts/1", None),
        ("users/{user}/posts", "users/ada/posts/1", {"user": "ada"}),
        ("users/{user}/posts", "teams/ada/posts/1", None),
        ("users/{user}/posts", "users/ada/posts/1/posts/2", None),
        ("a/{x}/b/{y}/c", "a/1/b/2/c/3", {"x": "1", "y": "2"}),
        ("**/posts", "posts/1", {}),
        ("**/posts", "users/ada/posts/1", {}),
        ("**/posts", "users/ada/reposts/1", None),
        ("**/posts", "users/a\nb/posts/1\n", {}),
        ("users/{user}/posts", "users/a\nb/posts/1", {"user": "a\nb"}),
    ],
)
def test_a_pattern_takes_its_own_documents_and_their_parameters(text, path, parameters):
    assert CollectionPattern(text).parameters_of(path) == parameters


@given(st.lists(segment, min_size=3, max_size=3), segment)
def test_names_stand_for_themselves_whatever_they_mean_to_a_regular_expression(segments, other):
    pattern = CollectionPattern("/".join(segments))
    assert pattern.parameters_of("/".join([*segments, "id"])) == {}
    assert re.fullmatch(pattern.regex(), "/".join([*segments, "id"]))
    if other != segments[0]:
        assert pattern.parameters_of("/".join([other, *segments[1:], "id"])) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("users/ada", "names a document"),
        ("{users}", "a path parameter stands for a document id"),
        ("users/{us er}/posts", "a path parameter stands for a document id"),
        ("a/{x}/b/{x}/c", "two path parameters of one name"),
        ("**/a/b", "a collection group is named by its id alone"),
        ("", "segment"),
    ],
)
def test_what_is_no_pattern_is_refused(text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        CollectionPattern(text)


def test_parameters_of_several_patterns_are_named_once():
    patterns = map(CollectionPattern, ("a/{x}/b", "a/{x}/c/{y}/d", "e"))
    assert all_parameters(patterns) == ("x", "y")


def test_patterns_that_one_query_finds_are_read_by_one_query():
    users, teams, every = map(CollectionPattern, ("users/{user}/posts", "teams/{team}/posts", "**/posts"))
    assert by_query([users, teams, users, every]) == {Query.group("posts"): (users, teams, every)}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("posts", "**/posts"), "**/posts means the documents of posts, too; leave one of them out"),
        (("users/{user}/posts", "users/ada/posts"), "users/{user}/posts means the documents of users/ada/posts, too"),
    ],
)
def test_two_queries_never_find_the_same_document(texts, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        by_query(map(CollectionPattern, texts))
