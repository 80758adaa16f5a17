"""Plain HTTP to a scripted provider, as a client without an SDK has it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class ProviderClient:
    """Asks a server; every request has the key unless it is told otherwise.

    Args:
      base_url: what paths are appended to.
      headers: of every request.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str] | None = None):
        self._base_url = base_url
        self._headers = {"Authorization": "Bearer key"} if headers is None else dict(headers)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("POST", path, json.dumps(body).encode(), headers)

    def upload(self, path: str, lines: list[Any], purpose: str, name: str = "requests.jsonl") -> str:
        """Sends lines as a form; returns the file's id."""
        content = "".join(json.dumps(line) + "\n" for line in lines)
        form = (
            f'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
            f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n{content}\r\n--x--\r\n'
        )
        answer = self.ask("POST", path, form.encode(), {"Content-Type": "multipart/form-data; boundary=x"})
        assert answer.status == 200, answer
        return str(answer.json["id"])

    def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Raises what http.client does, such as RemoteDisconnected and IncompleteRead."""
        address = urlsplit(self._base_url + path if path.startswith("/") else path)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        target = f"{address.path}?{address.query}" if address.query else address.path
        try:
            connection.request(method, target, body, {**self._headers, **headers})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


def chat_lines(*records: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of a request file of OpenAI that are answered with these records: custom ids r0, r1, …"""
    return [
        {
            "custom_id": f"r{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": json.dumps(record)}]},
        }
        for n, record in enumerate(records)
    ]
