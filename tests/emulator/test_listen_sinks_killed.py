"""firebeam listen into a mirror, a topic and a function, killed while somebody writes and deletes: none is missing."""

import collections
import json
import random
import signal
import threading
from dataclasses import dataclass

import pytest

from tests.support.export import ExportDesk
from tests.support.listen import ListenDesk, Writer, wait_until
from transforms.firestore.query import Query

pytestmark = pytest.mark.emulator

KILLS = 3
HANDLER = """
import json
def on_change(change):
    line = json.dumps([change.path, change.fields, change.event_id])
    with open({log!r}, "a") as file:
        file.write(line + "\\n")
"""


@dataclass
class SinkDesk(ListenDesk):
    """The job, into a sink that is not BigQuery."""

    def arguments(self, *flags):
        project, folder = self.desk.database.project, self.desk.folder / "dead_letters"
        return [
            "listen", f"--project={project}", f"--dead_letters={folder}", "--job_id=listen-1", "--collection=users",
            "--save_interval_s=1", *self.flags, *flags,
        ]  # fmt: skip

    def fields(self):
        """What the documents hold, by path."""
        return {path: fields for path, (_, fields) in self.database().items()}


@pytest.fixture
def killed(target, tmp_path):
    """Runs the job into a sink, and kills it some times at any moment; gives the desk when it has caught up."""

    def run(seed, *flags):
        listen = SinkDesk(ExportDesk(target, None, tmp_path), flags)
        chance = random.Random(seed)
        writer = Writer(listen.desk, chance)
        writer.write(20)
        for _ in range(KILLS):
            before = n_written(listen)
            with listen.running() as process:
                with Writer(listen.desk, chance):
                    wait_until(lambda before=before: n_written(listen) > before)
                    threading.Event().wait(chance.uniform(0, 2))
                    assert listen.end(process, signal.SIGKILL) == -signal.SIGKILL
            writer.write(10)
        assert listen.once() == 0
        assert list((tmp_path / "dead_letters").rglob("*.jsonl")) == []
        return listen

    return run


def n_written(listen):
    return sum(stream.counts["written"] for stream in listen.streams().values())


def check(events, documents):
    """What arrived, in its order, as path, fields and event id: it ends in these documents, and an id is one event."""
    states, by_id = {}, collections.defaultdict(list)
    for path, fields, event_id in events:
        states[path] = fields
        if [path, fields] not in by_id[event_id]:
            by_id[event_id].append([path, fields])
    assert {path: fields for path, fields in states.items() if fields is not None} == documents
    assert [found for found in by_id.values() if len(found) > 1] == []


def test_a_mirror_is_the_collection_after_any_kills(killed):
    listen = killed(1, "--to=firestore://copies")
    copies = {
        path.replace("copies/", "users/"): fields for path, (_, fields) in listen.database(Query("copies")).items()
    }
    assert {path: fields["_meta"]["source"] for path, fields in copies.items()} == {path: path for path in copies}
    assert {path: {"n": fields["n"]} for path, fields in copies.items()} == listen.fields()


def test_a_function_is_called_for_every_change_after_any_kills(killed, tmp_path, monkeypatch):
    (tmp_path / "listen_handler_killed.py").write_text(HANDLER.format(log=str(tmp_path / "seen.jsonl")))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    listen = killed(2, "--handler=listen_handler_killed:on_change")
    check([json.loads(line) for line in (tmp_path / "seen.jsonl").open()], listen.fields())


def test_a_topic_has_every_change_after_any_kills(killed, topic):
    listen = killed(3, "--pubsub_topic=changes")
    contents = [json.loads(message.data) for message in topic.pull_all()]
    contents.sort(key=lambda content: content["read_time"])
    check([(each["path"], each["document"], each["event_id"]) for each in contents], listen.fields())
