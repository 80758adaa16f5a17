"""Where a target starts: the resume tokens that a server gave away, and what it has forgotten since.

A token names the time up to which its stream had told everything, and the epoch in which it was given, so that tokens
can be declared void without a list of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from transforms.firestore.client import RpcError
from transforms.testing.documents import Documents


class Start(NamedTuple):
    """Where a target starts.

    Attributes:
      after_us: the client knows everything up to this time; None: nothing.
      is_reset: it has to forget what it knows, and is told so.
      is_doubtful: it may know documents that are gone and that nobody will tell it about.
    """

    after_us: int | None
    is_reset: bool = False
    is_doubtful: bool = False


class Tokens:
    """The tokens of a server. Its caller holds the lock of the documents.

    Attributes:
      forgotten_us: deletes up to this time are not told to those who resume; 0 for none.
    """

    def __init__(self, stored: Documents):
        self.forgotten_us = 0
        self._stored = stored
        self._epoch = self._first_valid = self._first_known = 0

    def issue(self, time_us: int) -> bytes:
        """A token for everything up to a time."""
        return f"{self._epoch}/{time_us}".encode()

    def expire(self) -> None:
        """Whoever resumes by a token of before has to start over, and is told so."""
        self._epoch = self._first_valid = self._epoch + 1

    def forget(self) -> None:
        """Whoever resumes by a token of before is sent everything, as without a token."""
        self._epoch = self._first_known = self._epoch + 1

    def start(self, target: Any) -> Start:
        """Where a protobuf `Target` starts. Raises RpcError for a token never given, or a read time in the future."""
        kind = target.WhichOneof("resume_type")
        if kind is None:
            return Start(None)
        if kind == "read_time":
            after_us = target.read_time.ToMicroseconds()
        else:
            epoch, _, time = target.resume_token.decode(errors="replace").partition("/")
            if not (epoch.isdecimal() and time.isdecimal() and int(epoch) <= self._epoch):
                raise RpcError("INVALID_ARGUMENT", "the resume token is not one of this server's")
            if int(epoch) < self._first_known:
                return Start(None, is_doubtful=True)
            if int(epoch) < self._first_valid:
                return Start(None, is_reset=True)
            after_us = int(time)
        if after_us > self._stored.read_time_us():
            raise RpcError("INVALID_ARGUMENT", "read_time cannot be in the future")
        return Start(after_us, is_doubtful=after_us < max(self.forgotten_us, self._stored.forgotten_us))

    def is_forgotten(self, name: str, to_us: int) -> bool:
        """Whether nobody remembers that a document has left, which it did some time before."""
        if to_us <= self.forgotten_us:
            return True
        return self.forgotten_us > 0 and self._stored.read(name, self.forgotten_us) is self._stored.read(name, to_us)
