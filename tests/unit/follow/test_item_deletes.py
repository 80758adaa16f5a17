"""Deletes of items past DualStore, followed by the feed of all versions, on a scripted account and Firestore."""

import datetime

import pytest

from tests.stand_ins import comes_true
from tests.support.followed_pair import COLLECTION, POLL_S, PUT_TIMEOUT_S, Places
from transforms.cosmos.feed import ALL_VERSIONS, DELETE, Change, TooOldError, feed_ranges, now
from transforms.dual.stored import COSMOS
from transforms.errors import TransientError
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.values import encoded_fields
from transforms.follow.changes import Page
from transforms.follow.cosmos_feed import Part
from transforms.follow.item_deletes import DeletesFeed, ItemDeletes, JoinedFeeds
from transforms.ledger.migrations import pair_document
from transforms.migrate.copies import Copies
from transforms.migrate.documents import Stamp
from transforms.migrate.phases import FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY, State
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore


class Deleting(Places):
    """A pair whose items are deleted by others."""

    def begin(self):
        connection = self.target.connect()
        return [Part(span, now(connection, span, ALL_VERSIONS)) for span in feed_ranges(connection)], False

    def following(self, **options):
        return super().following(**{"begin_deletes": self.begin, **options})

    def put(self, *names, student="s", **more):
        for name in names:
            self.container.upsert_item({"id": name, "student_id": student, **more})

    def delete(self, *names, student="s"):
        for name in names:
            self.container.delete_item(name, student)

    def come_to_be(self, *names):
        """Whether the documents are these before long."""
        return comes_true(lambda: self.documents().keys() == set(names), 30)

    def write(self, name, **fields):
        """A document past everybody."""
        document = messages.document(self.firestore.document_name(f"{COLLECTION}/{name}"), encoded_fields(fields))
        Committer(self.firestore.connect()).commit([AtomicGroup((messages.update(document),))])

    @property
    def pair(self):
        return pair_document(self.migration, COLLECTION)

    @property
    def copies(self):
        return Copies(self.target.connect(), self.firestore.connect(), COLLECTION, Retry())


@pytest.fixture
def places(cosmos, monkeypatch, tmp_path):
    monkeypatch.setenv("COSMOS_KEY", cosmos.key)
    with ScriptedFirestore() as server:
        yield Deleting(cosmos, server.target, tmp_path)


def test_documents_of_items_that_are_deleted_go(places):
    places.put("a", "b", "c")
    with places.following() as following:
        assert places.come_to_be("a", "b", "c")
        places.delete("a", "b")
        places.put("b", n=2)
        assert places.come_to_be("b", "c")
        assert following.status()["counts"]["documents_deleted"] == 1
    assert places.documents()["b"]["n"] == 2


def test_what_is_deleted_while_nobody_follows_goes_later(places):
    places.put("a", "b", "c")
    with places.following():
        assert places.come_to_be("a", "b", "c")
    places.delete("a")
    places.cosmos.split(places.location.split("/")[2], "attempts", "1")
    places.delete("b")
    with places.following(begin_deletes=lambda: pytest.fail("it was begun before")):
        assert places.come_to_be("c")


def test_an_account_that_answers_badly_delays_and_misses_nothing(places):
    places.put("a", "b", "c")
    with places.following() as following:
        assert places.come_to_be("a", "b", "c")
        rules = [{"operation": name, "status": 503, "times": 5} for name in ("read", "feed")]
        with places.cosmos.following({"rules": rules}):
            places.delete("a", "b")
            assert places.come_to_be("c")
        following.raise_failure()


def test_deletes_that_the_account_no_longer_keeps_are_found_by_a_comparison(places):
    places.put("a", "b", "c")
    with places.following():
        assert places.come_to_be("a", "b", "c")
    places.delete("a")
    with places.cosmos.following({"versions_kept_s": 3600, "clock_offset_s": 7200}):
        with places.following() as following:
            assert places.come_to_be("b", "c")
            assert following.status()["counts"]["documents_compared"] == 3
    assert places.pair.read().fields["scanned_at"] >= places.pair.read().fields["scan_wanted_at"]


def test_without_a_copy_that_knew_of_deletes_keys_are_compared_once(places):
    places.put("b")
    places.write("gone", id="gone", student_id="s", source_system="cosmos_migration", _meta={"_ts": 1, "_etag": "x"})
    with places.following(begin_deletes=lambda: (places.begin()[0], True)) as following:
        assert places.come_to_be("b")
        assert comes_true(lambda: following.status()["counts"].get("documents_compared"), 30)
    with places.following() as following:
        places.put("c")
        assert places.come_to_be("b", "c")
        assert "documents_compared" not in following.status()["counts"]


def test_what_is_deleted_while_the_primary_changes_goes(places):
    places.put("a", "b")
    places.set_state(State(FIRESTORE_ANALYTICS, None, POLL_S, PUT_TIMEOUT_S))
    with places.following(), places.application() as application:
        assert places.come_to_be("a", "b")
        places.announce(FIRESTORE_PRIMARY)
        places.delete("a")
        application.put({"id": "c", "student_id": "s"})
        assert comes_true(lambda: places.state.change is None, 60)
        assert places.state.phase == FIRESTORE_PRIMARY
        assert places.documents().keys() == places.items().keys() == {"b", "c"}


def test_tombstones_of_dualstore_are_forgotten_as_ever(places):
    with places.following() as following, places.application() as application:
        application.put({"id": "a", "student_id": "s"})
        application.put({"id": "b", "student_id": "s"})
        application.delete("a", student_id="s")
        assert comes_true(
            lambda: not list(places.container.query_items("SELECT * FROM c WHERE c.id = 'a'", partition_key="s")), 30
        )
        application.put({"id": "a", "student_id": "s", "n": 2})
        assert comes_true(lambda: places.read_to(COSMOS) is not None, 30)
        assert places.documents().keys() == places.items().keys() == {"a", "b"}
        following.raise_failure()


@pytest.mark.parametrize(
    ("meta", "is_copy"),
    [
        ({"_ts": 99}, True),
        ({"_ts": 99, "stamp": Stamp(99_000_000, "i").as_fields()}, True),
        ({"_ts": 99, "pending": True}, False),
        ({"stamp": Stamp(100_000_000, "i").as_fields()}, False),
    ],
)
def test_a_document_that_firestore_alone_has_accepted_stays(places, meta, is_copy):
    places.write("a", id="a", student_id="s", _meta={"_etag": "x", **meta})
    counts = []
    deletes = ItemDeletes(places.copies, lambda name, n: counts.append((name, n)))
    assert deletes.follow(Change(DELETE, "a", ["s"], None, 1, 100)) is None
    assert bool(places.documents()) is not is_copy
    assert counts == [("documents_deleted", 1)] * is_copy


class FakeFeed:
    """Gives what it is given."""

    def __init__(self, *pages, read_to=None):
        self.pages, self.read_to, self.applied_pages = list(pages), read_to, []

    def next(self):
        page = self.pages.pop(0) if self.pages else None
        if isinstance(page, Exception):
            raise page
        return page

    def applied(self, page):
        self.applied_pages.append(page)

    def close(self):
        pass


def at(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def page(*seconds):
    return Page(COSMOS, (), deleted=tuple(Change(DELETE, "a", ["s"], None, 1, each) for each in seconds), token=seconds)


def test_a_page_waits_until_writes_from_before_its_deletes_have_ended():
    time = [0.0]
    feed = DeletesFeed(lambda: FakeFeed(page(), page(95, 100)), lambda: None, lambda: at(time[0]), lambda: 10.0)
    assert feed.next() == page()
    for time[0], found in ((100.0, None), (110.9, None), (111.0, page(95, 100)), (111.0, None)):
        assert feed.next() == found


def test_a_feed_that_does_not_reach_back_is_begun_anew():
    feeds, begun = [FakeFeed(TooOldError("too old")), FakeFeed(page(1))], []
    feed = DeletesFeed(lambda: feeds[len(begun)], lambda: begun.append(1), lambda: at(100), lambda: 10.0)
    assert feed.next() is None
    assert (begun, feed.next()) == ([1], page(1))


def test_feeds_take_turns_and_are_as_far_as_the_last_one():
    one, other = FakeFeed(page(1), page(2), page(3), read_to=at(7)), FakeFeed(page(4), read_to=at(5))
    joined = JoinedFeeds(one, other)
    given = [joined.next() for _ in range(5)]
    assert [each and each.deleted[0].ts for each in given] == [1, 4, 2, 3, None]
    for each in given[:2]:
        joined.applied(each)
    assert (one.applied_pages, other.applied_pages) == ([page(1)], [page(4)])
    assert joined.read_to == at(5)
    other.read_to = None
    assert joined.read_to is None


def test_a_feed_that_fails_leaves_the_other_its_turn():
    one, other = FakeFeed(TransientError("no answer")), FakeFeed(page(1))
    joined = JoinedFeeds(one, other)
    with pytest.raises(TransientError):
        joined.next()
    assert joined.next().deleted == page(1).deleted
