"""Whatever a test makes the server do: a client that follows the protocol has the database's state at every snapshot.

The client keeps a dict of documents. It applies changes, forgets at RESET, and starts over without a token if a count
differs: the simplest client there is, so that an error is the server's.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.support.clocks import Clock
from tests.support.listen_client import ListenClient, where
from transforms.firestore.values import timestamp
from transforms.testing import ScriptedFirestore, cut_after

NAMES = st.sampled_from("abcd")
MATCHING = {"where": where("n", "GREATER_THAN", 0)}


class Mirror:
    """The documents of one target, by full name: their versions."""

    def __init__(self):
        self.versions, self.expected = {}, None

    def apply(self, message):
        kind = message.WhichOneof("response_type")
        held = getattr(message, kind)
        if kind == "document_change" and held.target_ids:
            self.versions[held.document.name] = held.document.update_time.ToMicroseconds()
        elif kind == "document_change":
            self.versions.pop(held.document.name, None)
        elif kind in ("document_delete", "document_remove"):
            self.versions.pop(held.document, None)
        elif kind == "filter":
            self.expected = held.count
        elif held.target_change_type == held.RESET:
            self.versions.clear()

    def differs(self):
        expected, self.expected = self.expected, None
        return expected is not None and expected != len(self.versions)


class Listening(RuleBasedStateMachine):
    @initialize(departs_by_change=st.booleans(), forgets=st.booleans())
    def start(self, departs_by_change, forgets):
        self.clock = Clock()
        self.server = ScriptedFirestore(now=self.clock, forget_versions=forgets, retention_s=100)
        self.server.__enter__()
        self.server.listen.automatic = False
        self.server.listen.manners.departs_by_change = departs_by_change
        self.mirror, self.client, self.last_us = Mirror(), None, 0
        self.open({})

    def teardown(self):
        if hasattr(self, "server"):
            self.client.__exit__()
            self.server.__exit__(None, None, None)

    @rule(written=st.dictionaries(NAMES, st.integers(-1, 2), min_size=1))
    def write(self, written):
        self.server.put({f"users/{name}": {"n": n} for name, n in written.items()})

    @rule(name=NAMES)
    def delete(self, name):
        self.server.delete(f"users/{name}")

    @rule(seconds=st.sampled_from([1, 60, 200]))
    def wait(self, seconds):
        self.clock.seconds += seconds

    @rule()
    def publish(self):
        self.server.listen.publish()
        self.follow()

    @rule()
    def heartbeat(self):
        self.server.listen.heartbeat()
        self.follow()

    @rule()
    def reset(self):
        self.server.listen.reset()
        self.follow()

    @rule(name=NAMES)
    def send_stale(self, name):
        self.server.listen.send_stale(f"users/{name}")

    @rule(what=st.sampled_from(["forget_deletes", "expire_tokens", "forget_tokens"]))
    def forget(self, what):
        getattr(self.server.listen, what)()

    @rule(by=st.sampled_from(["token", "read_time"]), published=st.booleans())
    def resume(self, by, published):
        self.server.listen.cut()
        if published:
            self.server.listen.publish()
        since = {"resume_token": self.client.token} if by == "token" else {"read_time": self.client.read_time}
        self.open(since)

    @rule(n_messages=st.integers(0, 2), point=st.sampled_from(["Listen", "AddTarget"]))
    def resume_after_an_answer_that_was_cut(self, n_messages, point):
        """What came before belongs to no snapshot and is dropped. The shortest answer has three messages."""
        token = self.client.token
        self.client.__exit__()
        self.client = ListenClient(self.server.target)
        self.server.script(point, [cut_after(n_messages)])
        self.client.add("users", resume_token=token, **MATCHING)
        if point == "Listen":
            assert self.client.end()[1].startswith("UNAVAILABLE")
        else:
            assert self.client.read(n_messages + 1)[-1].startswith("REMOVE 1 14")
        self.open({"resume_token": token})

    def open(self, since):
        if self.client:
            self.client.__exit__()
        self.client = ListenClient(self.server.target)
        self.client.add("users", **since, **MATCHING)
        if "resume_token" not in since and "read_time" not in since:
            self.mirror = Mirror()
        self.follow()

    def follow(self):
        for message in self.client.to_snapshot():
            self.mirror.apply(message)
        if self.mirror.differs():
            self.open({})
            return
        read_time = timestamp(self.client.read_time.seconds, self.client.read_time.nanos)
        found = {
            document.name: round(document.update_time.timestamp() * 1e6)
            for document in self.server.documents_at(read_time).values()
            if document.fields["n"] > 0
        }
        assert self.mirror.versions == found
        assert self.client.read_time.ToMicroseconds() >= self.last_us
        self.last_us = self.client.read_time.ToMicroseconds()


TestListening = Listening.TestCase
TestListening.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
