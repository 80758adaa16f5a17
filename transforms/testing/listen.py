"""The Listen RPC, and what a test can make it do: `server.listen`.

    commit ──automatic──▶ published ──▶ every stream: what changed, then NO_CHANGE with read time and token
       └──── held back until publish() ────┘

A stream sees the database as of the last time that was published. While `automatic`, that is every commit at once, and
heartbeats come by the server's clock. Otherwise nothing comes but answers to the client's requests and what the test
asks for, so that a test decides which writes share a snapshot:

    server.listen.automatic = False
    server.put({"users/ada": {"n": 1}})
    server.put({"users/ada": {"n": 2}})
    server.listen.publish()                                  # one change: n is 2

Scripts for `Listen` say what happens to a stream from its first message on. Scripts for `AddTarget` do so for the
answer to a target; a status there becomes a REMOVE with this cause.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from transforms.firestore.client import RpcError
from transforms.testing.documents import Documents
from transforms.testing.listen_stream import AffectTarget, ListenStream, Manners
from transforms.testing.resume import Tokens
from transforms.testing.script import check_code

_TICK_S = 0.1  # of real time, in which the server looks at its clock


class Listen:
    """The Listen streams of a server. Thread-safe.

    Args:
      stored: the documents.
      now: seconds since 1970.
      name: of a document by its path.
      affect: changes the answer to a target by its script.

    Attributes:
      heartbeat_s: seconds between two heartbeats of a stream; the service's are at most 30 apart.
      max_age_s: a stream of this age ends with the status OK; None: none does. The service's end about hourly.
      max_waiting: a stream that has as many snapshots still to read ends with RESOURCE_EXHAUSTED; None: none does.
      manners: what the protocol leaves to the server.
    """

    def __init__(self, stored: Documents, now: Callable[[], float], name: Callable[[str], str], affect: AffectTarget):
        self.heartbeat_s = 30.0
        self.max_age_s: float | None = None
        self.max_waiting: int | None = None
        self.manners = Manners()
        self._stored, self._now, self._name, self._affect = stored, now, name, affect
        self._tokens = Tokens(stored)
        self._changed = threading.Condition(stored.lock)
        self._streams: list[ListenStream] = []
        self._stale: list[str] = []
        self._published_us, self._is_automatic = 0, True
        self._clock: threading.Thread | None = None
        self._stopped = threading.Event()
        stored.on_commit, stored.needed_us = self._committed, self._needed_us

    @property
    def automatic(self) -> bool:
        """Whether each commit is published at once, and heartbeats come by the clock."""
        return self._is_automatic

    @automatic.setter
    def automatic(self, is_automatic: bool) -> None:
        with self._changed:
            self._published_us = max(self._published_us, self._stored.read_time_us())
            self._is_automatic = is_automatic
            self._publish(is_announced=False)

    @property
    def targets(self) -> list[Any]:
        """The protobuf `Target`s that clients listen to, in the order of their streams."""
        with self._changed:
            return [target.message for stream in self._streams for target in stream.targets.values()]

    def wait_for_targets(self, n_targets: int, timeout_s: float = 10.0) -> None:
        """Waits until so many targets have been added and not been removed. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.targets) == n_targets, timeout_s):
                raise TimeoutError(f"{len(self.targets)} targets after {timeout_s} s, expected {n_targets}")

    def publish(self) -> None:
        """Sends to every stream all that has been committed, and the time up to which that is all."""
        with self._changed:
            self._published_us = self._stored.read_time_us()
            self._publish(is_announced=True)

    def heartbeat(self) -> None:
        """Sends to every stream the time up to which it has been told everything, with nothing new."""
        with self._changed:
            self._heartbeat(self._streams)

    def reset(self, collection: str | None = None) -> None:
        """Has clients forget targets, and sends them whole.

        Args:
          collection: id of the collections or groups that are meant, as in all methods; default: all targets.
        """
        with self._changed:
            for stream, ids in self._chosen(collection):
                stream.reset(ids, self._present_us())

    def remove(
        self,
        code: str = "DEADLINE_EXCEEDED",
        message: str = "datastore operation timed out",
        collection: str | None = None,
    ) -> None:
        """Takes targets from their streams, with this cause."""
        check_code(code)
        with self._changed:
            for stream, ids in self._chosen(collection):
                stream.remove(ids, RpcError(code, message))
            self._changed.notify_all()

    def cut(
        self,
        code: str = "UNAVAILABLE",
        message: str = "the stream was cut",
        *,
        after: int = 0,
        collection: str | None = None,
    ) -> None:
        """Ends streams with a status, after what has been sent so far and `after` messages more; OK: a planned end."""
        check_code(code)
        with self._changed:
            for stream, _ in self._chosen(collection):
                stream.cut(RpcError(code, message), after)
                if not after:
                    self._streams.remove(stream)
            self._changed.notify_all()

    def silence(self, collection: str | None = None) -> None:
        """Sends nothing more on the streams there are, heartbeats included; they stay open until they are cut."""
        with self._changed:
            for stream, _ in self._chosen(collection):
                stream.silence()

    def send_stale(self, *paths: str) -> None:
        """Sends the version before the last one of documents, then the last one: in the next snapshot or answer.

        Nothing is sent of a document that has no other version.
        """
        with self._changed:
            self._stale += map(self._name, paths)
            if self._is_automatic:
                self._publish(is_announced=False)

    def send_count(self, count: int | None = None, collection: str | None = None) -> None:
        """Sends an ExistenceFilter: how many documents match; the truth unless a count is given."""
        with self._changed:
            for stream, ids in self._chosen(collection):
                stream.count(ids, self._present_us(), count)

    def forget_deletes(self) -> None:
        """Whoever resumes from before is not told what has left a target until now, but sent an ExistenceFilter."""
        with self._changed:
            self._tokens.forgotten_us = self._stored.read_time_us()

    def expire_tokens(self) -> None:
        """Whoever resumes by a token given until now is sent a RESET and everything."""
        with self._changed:
            self._tokens.expire()

    def forget_tokens(self) -> None:
        """Whoever resumes by a token given until now is sent everything without a RESET, and an ExistenceFilter."""
        with self._changed:
            self._tokens.forget()

    def serve(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """The messages of one stream, for its requests from the first to the last. Raises RpcError at its end."""
        with self._changed:
            stream = ListenStream(self._stored, self._tokens, self.manners, self._affect, self._now())
            self._streams.append(stream)
            self._start_clock()
        if not context.add_callback(lambda: self._ended(stream)):
            self._ended(stream)
        threading.Thread(target=self._receive, args=(stream, requests), daemon=True).start()
        try:
            yield from stream.messages()
        finally:
            self._ended(stream)

    def stop(self) -> None:
        """Ends the clock of the server. Streams end with their RPCs."""
        with self._changed:  # or a stream that begins just now might have made the thread and not started it
            self._stopped.set()
            clock, self._clock = self._clock, None
        if clock:
            clock.join()

    def _receive(self, stream: ListenStream, requests: Iterator[Any]) -> None:
        try:
            for request in requests:
                with self._changed:
                    if request.HasField("remove_target"):
                        stream.remove([request.remove_target], None)
                    elif request.HasField("add_target"):
                        stream.add(request.add_target, self._present_us(), self._taken_stale())
                        stream.heartbeat_at = self._now()
                    self._changed.notify_all()
        except grpc.RpcError:
            return  # the stream has ended

    def _chosen(self, collection: str | None) -> list[tuple[ListenStream, list[int]]]:
        chosen = []
        for stream in self._streams:
            targets = stream.targets.items()
            ids = [each for each, target in targets if collection is None or target.listens_to(collection)]
            if ids or collection is None:
                chosen.append((stream, ids))
        return chosen

    def _present_us(self) -> int:
        if self._is_automatic:
            self._published_us = self._stored.read_time_us()
        return self._published_us

    def _ended(self, stream: ListenStream) -> None:
        with self._changed:
            if stream in self._streams:
                self._streams.remove(stream)
                stream.close()
                self._changed.notify_all()

    def _committed(self) -> None:
        if self._is_automatic and self._streams:
            self._published_us = self._stored.read_time_us()
            self._publish(is_announced=False)

    def _needed_us(self) -> float:
        return min((stream.sent_us for stream in self._streams if stream.targets), default=math.inf)

    def _publish(self, *, is_announced: bool) -> None:
        stale = self._taken_stale() if any(stream.targets for stream in self._streams) else []
        for stream in self._streams[:]:
            if self.max_waiting is not None and stream.n_waiting() >= self.max_waiting:
                stream.discard(RpcError("RESOURCE_EXHAUSTED", "the client reads too slowly"))
                self._streams.remove(stream)
            else:
                stream.snapshot(self._published_us, stale, is_announced=is_announced)

    def _heartbeat(self, streams: list[ListenStream]) -> None:
        self._published_us = self._stored.unchanged_until_us(self._published_us)
        for stream in streams:
            stream.heartbeat_at = self._now()
            stream.snapshot(self._published_us, (), is_announced=True)

    def _taken_stale(self) -> list[str]:
        stale, self._stale = self._stale, []
        return stale

    def _start_clock(self) -> None:
        if self._clock is None:
            self._stopped.clear()
            self._clock = threading.Thread(target=self._run_clock, daemon=True)
            self._clock.start()

    def _run_clock(self) -> None:
        while not self._stopped.wait(_TICK_S):
            with self._changed:
                if self._is_automatic:
                    self._look_at_clock(self._now())

    def _look_at_clock(self, now: float) -> None:
        self._heartbeat([each for each in self._streams if now >= each.heartbeat_at + self.heartbeat_s])
        for stream in self._streams[:]:
            if self.max_age_s is not None and now >= stream.opened_at + self.max_age_s:
                stream.cut(RpcError("OK", ""))
                self._streams.remove(stream)
