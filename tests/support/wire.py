"""A TCP relay whose connections can be broken: what lies between a job and a server.

job ──▶ wire.port ──▶ server_port
          └ cut(): every connection breaks, without good-bye; new ones are broken as well for as long as asked for
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time


class Wire:
    """Relays to a loopback port from when it is made until it is closed.

    Attributes:
      port: where to connect.
    """

    def __init__(self, server_port: int):
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._live: set[socket.socket] = set()
        self._down_until = 0.0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, name="wire", daemon=True).start()

    def cut(self, down_s: float = 0.0) -> None:
        """Breaks every connection, and those that come within the next seconds."""
        with self._lock:
            live, self._live = self._live, set()
            self._down_until = time.monotonic() + down_s
        for end in live:
            _break(end)

    def close(self) -> None:
        """Takes no more connections and breaks those there are."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            if time.monotonic() < self._down_until:
                _break(near)
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._server_port))
            with self._lock:
                self._live |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), name="wire", daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):  # the other direction's thread was faster
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._live.discard(source)
        source.close()


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
