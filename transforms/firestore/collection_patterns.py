"""Which documents a job reads: collections, collections below any document, collection groups. Plain Python.

    users                    a collection
    users/{user}/posts       the posts of every user; `user` is a path parameter
    **/posts                 every collection called posts, wherever it is: a collection group

A collection below any document is read as its collection group, the only query that Firestore has for it, so documents
of the group that lie elsewhere are read, and billed, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from transforms.errors import UsageError
from transforms.firestore.query import Query, check_collection_path

_GROUP_PREFIX = "**/"
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,99})\}")


@dataclass(frozen=True)
class CollectionPattern:
    """Documents by where they lie; see the module.

    Attributes:
      text: as it was given.
    """

    text: str

    def __post_init__(self) -> None:
        if self.is_group:
            Query.group(self.text.removeprefix(_GROUP_PREFIX))  # refuses what is not an id
            return
        segments = self.text.split("/")
        for position, segment in enumerate(segments):
            if ("{" in segment or "}" in segment) and not (_PARAMETER.fullmatch(segment) and position % 2):
                raise UsageError(
                    f"{self.text!r}: a path parameter stands for a document id, as in users/{{user}}/posts"
                )
        check_collection_path(_PARAMETER.sub("x", self.text))
        if len(set(self.parameters)) < len(self.parameters):
            raise UsageError(f"{self.text!r} has two path parameters of one name")

    @property
    def is_group(self) -> bool:
        """Whether every collection of the id is meant, wherever it lies."""
        return self.text.startswith(_GROUP_PREFIX)

    @property
    def collection_id(self) -> str:
        """The last segment."""
        return self.text.removeprefix(_GROUP_PREFIX).rpartition("/")[2]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the path parameters.

        >>> CollectionPattern("users/{user}/posts").parameters
        ('user',)
        """
        return tuple(_PARAMETER.findall(self.text))

    @property
    def is_exact(self) -> bool:
        """Whether the query finds nothing but the pattern's own documents."""
        return not self.parameters

    @property
    def query(self) -> Query:
        """The query that finds them, and for a pattern with parameters others, too."""
        if self.is_group or self.parameters:
            return Query.group(self.collection_id)
        return Query(self.text)

    def parameters_of(self, path: str) -> dict[str, str] | None:
        """The values of the path parameters; None for a document that the pattern does not mean.

        >>> CollectionPattern("users/{user}/posts").parameters_of("users/ada/posts/1")
        {'user': 'ada'}
        """
        match = self._regex.fullmatch(path)
        return match.groupdict() if match else None

    def means(self, path: str) -> bool:
        """Whether the document is one of the pattern's."""
        return self._regex.fullmatch(path) is not None

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(self.regex(named=True))

    def regex(self, *, named: bool = False) -> str:
        """A regular expression of the paths of its documents, in the syntax that Python and RE2 share.

        >>> CollectionPattern("users/{user}/posts").regex()
        'users/[^/]+/posts/[^/]+'
        """
        if self.is_group:
            return f"(?:[^/]+/[^/]+/)*{re.escape(self.collection_id)}/[^/]+"  # no dot: an id may hold line breaks
        parts = []
        for segment in self.text.split("/"):
            parameter = _PARAMETER.fullmatch(segment)
            group = f"(?P<{parameter[1]}>[^/]+)" if parameter and named else "[^/]+" if parameter else None
            parts.append(group or re.escape(segment))
        return "/".join([*parts, "[^/]+"])


def by_query(patterns: Iterable[CollectionPattern]) -> dict[Query, tuple[CollectionPattern, ...]]:
    """The queries that find the documents of patterns, and whose patterns each is for; a document is the first one's.

    >>> patterns = map(CollectionPattern, ("users/{user}/posts", "users", "teams/{team}/posts"))
    >>> [[pattern.text for pattern in found] for found in by_query(patterns).values()]
    [['users/{user}/posts', 'teams/{team}/posts'], ['users']]

    Raises:
      UsageError: two queries would find the same document.
    """
    queries: dict[Query, tuple[CollectionPattern, ...]] = {}
    for pattern in dict.fromkeys(patterns):
        queries[pattern.query] = (*queries.get(pattern.query, ()), pattern)
    given = [pattern for found in queries.values() for pattern in found]
    for plain in given:
        for other in given:
            if not plain.query.all_descendants and other.query.all_descendants and other.means(f"{plain.text}/x"):
                raise UsageError(f"{other.text} means the documents of {plain.text}, too; leave one of them out")
    return queries


def all_parameters(patterns: Iterable[CollectionPattern]) -> tuple[str, ...]:
    """The names of the path parameters of several patterns, each once."""
    return tuple(dict.fromkeys(name for pattern in patterns for name in pattern.parameters))
