"""A MariaDB server for tests and benchmarks, of the machine's own programs, in a folder that is removed with it.

Its clock is not in UTC, so that a time that is taken for one in UTC shows up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.emulators.processes import LOOPBACK, TCP, Server, serve

INSTALL = "apt-get install --no-install-recommends mariadb-server-core mariadb-client-core"

_PROGRAMS = ("mariadbd", "mariadb-install-db")
# Starts again when it is told to SHUTDOWN.
_SCRIPT = """
set -e
mariadb-install-db --no-defaults --datadir="$PWD/data" --auth-root-authentication-method=normal --skip-test-db \
  $AS_ROOT >/dev/null
while mariadbd --no-defaults --datadir="$PWD/data" --socket="$PWD/socket" --port="$PORT" --bind-address=127.0.0.1 \
  --skip-log-bin --skip-name-resolve --innodb-buffer-pool-size=64M --innodb-flush-log-at-trx-commit=0 \
  --innodb-flush-method=nosync --skip-innodb-doublewrite --sync-frm=0 $AS_ROOT "$@"
do :; done
"""


def missing_program() -> str | None:
    """A program that a server needs and the machine does not have; None if all are there."""
    return next((program for program in _PROGRAMS if shutil.which(program, path=_search()) is None), None)


@contextlib.contextmanager
def mariadb_server(certificate: Path | None = None) -> Iterator[int]:
    """A server whose root has no password; gives its port.

    Args:
      certificate: a file with one and its key, for TLS; None for no TLS.
    """
    tls = [] if certificate is None else [f"--ssl-cert={certificate}", f"--ssl-key={certificate}"]

    def command(ports: Sequence[int], folder: Path) -> Sequence[str]:
        return "env", f"PORT={ports[0]}", "sh", "-c", _SCRIPT, "sh", *tls

    as_root = "--user=root" if os.getuid() == 0 else ""
    environ = {**os.environ, "PATH": _search(), "TZ": "IST-5:30", "AS_ROOT": as_root}
    server = Server("MariaDB", 1, command, lambda ports: f"{TCP}{LOOPBACK}:{ports[0]}", environ)
    with serve(server) as (port,):
        yield port


def _search() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
