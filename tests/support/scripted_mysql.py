"""MySQL's own way to sign in and to speak, scripted: there is no MySQL server to install from where tests may install.

The protocol is that of mysql-mimic; which statement is answered how is said by who uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from mysql_mimic import AuthPlugin, IdentityProvider, MysqlServer, User
from mysql_mimic.auth import Forbidden, Success
from mysql_mimic.session import BaseSession
from mysql_mimic.variables import GlobalVariables, SessionVariables

from pipeline.emulators.processes import LOOPBACK

_PLUGIN = "caching_sha2_password"
_WITH_ENCRYPTED_PASSWORD, _WANTS_PUBLIC_KEY = b"\x04", b"\x02"

Rows = Sequence[Sequence[Any]]


class _CachingSha2(AuthPlugin):
    """As MySQL 8 does it where the password is not in its cache and the connection is not by TLS."""

    name = client_plugin_name = _PLUGIN

    def __init__(self, password: str):
        self._password = password
        self._key = rsa.generate_private_key(65537, 2048)

    async def auth(self, auth_info: Any = None) -> AsyncIterator[Any]:
        nonce = secrets.token_urlsafe(32).encode()[:20]
        auth_info = yield nonce + b"\0"
        auth_info = yield _WITH_ENCRYPTED_PASSWORD
        if auth_info.data != _WANTS_PUBLIC_KEY:
            yield Forbidden()
        public = self._key.public_key()
        auth_info = yield public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
        masked = self._key.decrypt(auth_info.data, oaep)
        password = bytes(octet ^ mask for octet, mask in zip(masked, cycle(nonce), strict=False)).rstrip(b"\0").decode()
        yield Success(auth_info.username) if password == self._password else Forbidden()


class _OneUser(IdentityProvider):
    def __init__(self, plugin: AuthPlugin):
        self._plugin = plugin

    def get_plugins(self) -> Sequence[AuthPlugin]:
        return [self._plugin]

    async def get_user(self, username: str) -> User | None:
        return User(name=username, auth_plugin=_PLUGIN)


class ScriptedMysql:
    """What a server answers, and what it was asked.

    Attributes:
      answers: by a pattern that a whole statement matches; the first that does counts. Others have no rows.
      asked: statements, in their order.
    """

    def __init__(self, port: int, answers: Mapping[str, Rows]):
        self.port, self.answers = port, answers
        self.asked: list[str] = []

    def answer(self, statement: str) -> tuple[Rows, list[str]]:
        """The rows of a statement, and names of its columns."""
        self.asked.append(statement)
        for pattern, rows in self.answers.items():
            if re.fullmatch(pattern, " ".join(statement.split()), re.DOTALL):
                return rows, [f"c{n}" for n in range(len(rows[0]))] if rows else ["c0"]
        return [], []


@contextlib.contextmanager
def scripted_mysql(version: str, password: str, answers: Mapping[str, Rows]) -> Iterator[ScriptedMysql]:
    """Runs a server for the duration of the block."""
    script = ScriptedMysql(0, answers)

    class Session(BaseSession):
        def __init__(self) -> None:
            self.variables, self.username, self.database = SessionVariables(GlobalVariables()), None, None
            self.variables.set("version", version, force=True)

        async def handle_query(self, sql: str, attrs: Mapping[str, str]) -> Any:
            return script.answer(sql)

    loop = asyncio.new_event_loop()
    server = MysqlServer(session_factory=Session, identity_provider=_OneUser(_CachingSha2(password)))
    loop.run_until_complete(server.start_server(host=LOOPBACK, port=0))
    script.port = server.sockets()[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: MysqlServer) -> None:
    server.close()
    connections = asyncio.all_tasks() - {asyncio.current_task()}
    for connection in connections:
        connection.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
