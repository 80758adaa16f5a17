"""Listening to the real emulator, which sends everything again at every commit and takes no token."""

import random
import threading
import time

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from transforms.firestore import messages
from transforms.firestore.changes.change import REMOVED
from transforms.firestore.changes.journal import MemoryJournal
from transforms.firestore.changes.parking import PARKING
from transforms.firestore.changes.positions import from_json, to_json
from transforms.firestore.client import RpcError
from transforms.firestore.listen import ListenToFirestore
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.firestore.values import serialised_fields
from transforms.runtime.stopping import ask_to_stop, forget_request

QUERIES = {
    "users": Query("users"),
    "adults": Query("users").where("age", ">", 40),
    "even": Query("users").where("even", "==", True),
}
MAX_WAIT_S = 60


class Sink:
    """Where the pipeline's last step writes, and the positions that it might have saved; outlives the pipeline."""

    def __init__(self):
        self.documents, self.positions = {}, [None]

    def take(self, batch):
        for change in batch.changes:
            if change.kind == REMOVED:
                self.documents.pop(change.path, None)
            else:
                self.documents[change.path] = change.document.fields
        if batch.save_now:
            self.positions.clear()
        self.positions.append(batch.position)


SINK = Sink()
JOURNAL = MemoryJournal()


class Journal:
    """Outlives the pipeline; positions are not committed by its runner, but saved by the sink."""

    def add(self, stream_id, entry):
        JOURNAL.add(stream_id, entry)

    def entries(self, stream_id):
        return JOURNAL.entries(stream_id)

    def forget(self, stream_id, until):
        pass


class Writer:
    """Writes, changes and deletes documents, by commits of one or several."""

    def __init__(self, target, seed):
        self._client, self._name, self._random = target.connect(), target.document_name, random.Random(seed)

    def write(self, n_commits):
        for _ in range(n_commits):
            writes = [self._write() for _ in range(self._random.choice([1, 1, 1, 5]))]
            self._commit(list(dict(writes).values()))

    def _commit(self, writes):
        """The emulator answers CANCELLED if a listener hangs up while it tells it of the commit."""
        while True:
            try:
                self._client.commit(writes, 30).result()
            except RpcError as error:
                if error.code != "CANCELLED":
                    raise
            else:
                return

    def _write(self):
        name = self._name(f"users/u{self._random.randrange(30):02d}")
        if self._random.random() < 0.3:
            return name, messages.delete(name)
        age = self._random.randrange(90)
        return name, messages.update(messages.document(name, serialised_fields({"age": age, "even": age % 2 == 0})))


def documents_of(target, query):
    return {document.path: document.fields for document in read(target.connect(), query)}


class Run:
    """A pipeline in a thread of its own, from the saved position on."""

    def __init__(self, target, query):
        positions = {"users": SINK.positions[-1]} if SINK.positions[-1] else {}
        self._pipeline = beam.Pipeline(runner=FnApiRunner())
        batches = self._pipeline | ListenToFirestore(
            query, target=target, positions=positions, journal=Journal(), checkpoint_s=1
        )
        batches | beam.Map(take)
        self._thread = threading.Thread(target=lambda: self._pipeline.run().wait_until_finish())

    def __enter__(self):
        forget_request()
        self._thread.start()
        return self

    def __exit__(self, *exception):
        ask_to_stop()
        self._thread.join()
        forget_request()
        PARKING.close_expired(0)


def take(batch):
    SINK.take(batch)


def wait_until_equal(target, query):
    wanted, waited_until = documents_of(target, query), time.monotonic() + MAX_WAIT_S
    while SINK.documents != wanted and time.monotonic() < waited_until:
        threading.Event().wait(0.05)
    assert SINK.documents == wanted


@pytest.mark.emulator
@pytest.mark.parametrize("name", QUERIES)
def test_what_is_written_while_it_runs_and_while_it_is_down_arrives(target, name):
    """Each run begins at any position of the one before, as if that had been killed before it saved more."""
    SINK.__init__()
    JOURNAL.__init__()
    query, writer, chance = QUERIES[name], Writer(target, seed=name), random.Random(name)
    writer.write(20)
    for _ in range(4):
        with Run(target, query):
            writer.write(40)
            wait_until_equal(target, query)
        writer.write(20)
        saved = chance.choice(SINK.positions)
        SINK.positions = [saved and from_json(to_json(saved))]
