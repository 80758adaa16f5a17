"""Changes into a function of the user's: what it gets, in which order, and what follows from what it raises."""

import asyncio
import functools

import pytest

from tests.support.changes import batch_of, changed, removed, stored
from tests.support.listened import PREFIX
from transforms.errors import JobError, RecordError, TransientError, UsageError
from transforms.firestore.changes.times import from_micros
from transforms.listen.handlers import HandlerSink, HandlerWriter, load_handler


def written(handler, batch):
    writer = HandlerWriter(handler, PREFIX)
    try:
        return writer.write(batch)
    finally:
        writer.close()


def test_a_handler_gets_all_that_is_known_of_a_change():
    seen = []
    batch = batch_of(
        stored("users/ada/posts/1", 1, n=1),
        removed("users/bob/posts/2", 3, 2),
        pattern="users/{user}/posts",
        parameters={"feed": "x"},
        stream_id="posts",
        records={"users/ada/posts/1": {"number": 1}},
    )
    after = written(seen.append, batch)
    assert after.entries == batch.entries
    assert after.behind == batch.behind
    first, second = seen
    assert (first.kind, first.path, first.fields, first.record) == (
        "added",
        "users/ada/posts/1",
        {"n": 1},
        {"number": 1},
    )
    assert (first.stream_id, first.parameters, first.attempts) == ("posts", {"feed": "x", "user": "ada"}, 0)
    assert first.update_time == first.read_time == from_micros(1_800_000_001_000_000)
    assert (second.kind, second.fields, second.record, second.deleted) == ("removed", None, None, True)


def test_the_same_change_has_the_same_event_id_and_no_other_has_it():
    seen = []
    changes = [stored("users/a", 1), changed("users/a", 2), stored("users/b", 1), removed("users/a", 9, 2)]
    for change in [*changes, *changes, removed("users/a", 12, 2)]:
        written(seen.append, batch_of(change))
    ids = [change.event_id for change in seen]
    assert ids[:4] == ids[4:8]
    assert len(set(ids[:4])) == 4
    assert ids[8] == ids[3]  # the same delete, seen again later


def on_change(change):
    if change.path == "users/b":
        raise ValueError(change.fields)


async def on_change_async(change):
    await asyncio.sleep(0)
    on_change(change)


def wrapped(change):
    return on_change_async(change)


class Service:
    async def __call__(self, change):
        await on_change_async(change)


@pytest.mark.parametrize(
    ("handler", "raised_in"),
    [
        (on_change, "on_change"),
        (on_change_async, "on_change"),
        (wrapped, "on_change"),
        (Service(), "on_change"),
        (functools.partial(on_change_async), "on_change"),
    ],
    ids=["sync", "async", "returns an awaitable", "object", "partial"],
)
def test_what_a_handler_raises_is_a_dead_letter_that_comes_again_and_shows_no_value(handler, raised_in):
    batch = batch_of(stored("users/a"), stored("users/b", secret="hush"), stored("users/c"))
    after = written(handler, batch)
    assert [entry.key for entry in after.entries] == ["users/a", "users/c"]
    (dead,) = after.dead_letters
    assert (dead.code, dead.retryable, dead.record_id, dead.attempts) == ("HANDLER_FAILED", True, "users/b", 1)
    assert dead.message.startswith(f"the handler raised ValueError in {raised_in}, line ")
    assert "hush" not in dead.message
    assert dead.original == {"__name__": "users/b", "secret": "hush"}


def test_a_handler_can_say_itself_what_is_wrong_with_a_change():
    def refuse(change):
        raise RecordError("TOO_OLD", "ts is from last year")

    (dead,) = written(refuse, batch_of(stored("users/a"))).dead_letters
    assert (dead.step, dead.code, dead.message, dead.retryable) == (
        "HandleChanges",
        "TOO_OLD",
        "ts is from last year",
        False,
    )


@pytest.mark.parametrize("error", [JobError("no licence"), TransientError("busy")])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_can_stop_the_job_or_have_the_batch_come_again(error, is_async):
    async def fail_async(change):
        raise error

    def fail(change):
        raise error

    with pytest.raises(type(error)):
        written(fail_async if is_async else fail, batch_of(stored("users/a"), stored("users/b")))


def test_changes_of_a_batch_are_handled_at_once_by_an_async_handler_and_those_of_a_document_in_order():
    running, most, seen = 0, 0, []

    async def handler(change):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        seen.append((change.path, change.kind))

    writer = HandlerWriter(handler, PREFIX)
    writer.write(batch_of(*[stored(f"users/{n:03}", n) for n in range(150)]))
    writer.write(batch_of(removed("users/007", 200, 7)))
    writer.close()
    assert most == 100
    assert len(seen) == 151
    assert seen[-1] == ("users/007", "removed")


def test_a_sink_opens_the_function_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "handler_of_mine.py").write_text("seen = []\nclass A:\n    on_change = staticmethod(seen.append)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path[1:]])
    writer = HandlerSink("handler_of_mine:A.on_change", PREFIX).open()
    writer.write(batch_of(stored("users/a")))
    writer.close()
    assert [change.path for change in __import__("handler_of_mine").seen] == ["users/a"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("on_change", "--handler must be MODULE:FUNCTION, such as my_module:on_change, got 'on_change'"),
        (":f", "--handler must be MODULE:FUNCTION, such as my_module:on_change, got ':f'"),
        ("no_such_module:f",
         "--handler=no_such_module:f: there is no module no_such_module; run in its directory, or add that"),
        ("needs_more:f", "--handler=needs_more:f: module needs_more imports no_such_library, which is not installed"),
        ("broken:f", "--handler=broken:f: module broken cannot be imported: SyntaxError: "),
        ("fails:f", "--handler=fails:f: module fails cannot be imported: KeyError: 'TOKEN'"),
        ("fine:g", "--handler=fine:g: module fine has no 'g'; check the name behind the colon"),
        ("fine:A.g", "--handler=fine:A.g: module fine has no 'A.g'; check the name behind the colon"),
        ("fine:n", "--handler=fine:n: n is a int; it must be a function of one change"),
        ("fine:nothing", "--handler=fine:nothing: cannot be called with one change: too many positional arguments"),
        ("fine:two", "--handler=fine:two: cannot be called with one change: missing a required argument: 'b'"),
    ],
)  # fmt: skip
def test_a_handler_that_cannot_be_called_is_refused_in_one_line(tmp_path, monkeypatch, name, message):
    (tmp_path / "needs_more.py").write_text("import no_such_library")
    (tmp_path / "broken.py").write_text("def f(:\n  pass")
    (tmp_path / "fails.py").write_text("import os\nos.environ['TOKEN'] if 'TOKEN' in os.environ else {}['TOKEN']")
    (tmp_path / "fine.py").write_text("n = 1\nclass A: pass\ndef nothing(): pass\ndef two(a, b): pass")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError) as caught:
        load_handler(name)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
