"""How many names are remembered, alone and beside others."""

from transforms.firestore.changes.name_cache import NameCache, NamePool


def names(n):
    return [(f"users/{number}", 1) for number in range(n)]


def test_with_more_documents_than_it_may_keep_nothing_is_remembered():
    cache = NameCache(3)
    cache.replace(names(3))
    assert cache.versions == dict(names(3))
    assert cache.change(names(4), ()) == 4
    assert cache.versions is None


def test_caches_of_a_pool_keep_what_the_others_leave():
    pool = NamePool()
    first, second = NameCache(5, pool), NameCache(5, pool)
    first.replace(names(3))
    assert second.room == 2
    second.replace(names(3))
    assert second.versions is None
    second.replace(names(2))
    assert (first.room, second.room) == (3, 2)
    first.replace(None)
    second.replace(names(5))
    assert second.versions is not None
    assert first.room == 0


def test_a_cache_that_is_gone_leaves_its_room():
    pool = NamePool()
    first, second = NameCache(5, pool), NameCache(5, pool)
    first.replace(names(3))
    del first
    assert second.room == 5
