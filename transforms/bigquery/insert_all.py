"""One insertAll request, from rows that are JSON text already. No Beam.

The client library's `insert_rows_json` encodes every row itself, with the standard library's encoder; rows have to be
encoded before anyway, to know how many bytes they take. Its session is used, with the same credentials.

    body = request([{"name": "Ada"}, {"name": "Bob"}], ["id-1", "id-2"])
    errors = InsertAll(target).send(body, timeout_s=60)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from google.api_core.exceptions import from_http_response

from transforms.bigquery.target import BigQueryTarget

_START, _END = b'{"skipInvalidRows":true,"ignoreUnknownValues":false,"rows":[', b"]}"
_REQUEST = {"skipInvalidRows": True, "ignoreUnknownValues": False}

# Bytes of a request besides its rows.
ENVELOPE_BYTES = len(_START) + len(_END)


def entry(row: Mapping[str, Any], insert_id: str) -> bytes:
    """A row as it stands in a request, and the comma behind it.

    >>> entry({"name": "Ada"}, "id-1")
    b'{"insertId":"id-1","json":{"name":"Ada"}},'

    Raises:
      TypeError: a cell is not JSON, which is an error of the code that made it.
    """
    return b'{"insertId":%b,"json":%b},' % (orjson.dumps(insert_id), orjson.dumps(row))


def request_of(entries: Sequence[bytes]) -> bytes:
    """A request of rows that are encoded, of which there is at least one.

    >>> request_of([entry({"name": "Ada"}, "id-1")]) == request([{"name": "Ada"}], ["id-1"])
    True
    """
    return b"".join((_START, b"".join(entries)[:-1], _END))


def request(rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> bytes:
    """A request of rows, by one call of the encoder: a call for each of them takes longer than the encoding.

    Raises:
      TypeError: as `entry`.
    """
    named = [{"insertId": insert_id, "json": row} for row, insert_id in zip(rows, insert_ids, strict=True)]
    return orjson.dumps({**_REQUEST, "rows": named})


class InsertAll:
    """Sends rows to one table; for one thread. Connects when it is first used.

    Rows that BigQuery refuses do not keep the others out.
    """

    def __init__(self, target: BigQueryTarget):
        self._target = target
        table = f"projects/{target.project}/datasets/{target.dataset}/tables/{target.table}"
        self._url = f"{target.url}/bigquery/v2/{table}/insertAll"
        self._session: Any = None

    def send(self, body: bytes, timeout_s: float) -> list[Any]:
        """Sends one request and returns its insertErrors.

        Args:
          body: of `request` or `request_of`.

        Raises:
          GoogleAPICallError: the request as a whole was refused.
          NETWORK_ERRORS of `failures.py`: there was no answer.
        """
        if self._session is None:
            self._session = self._target.session()
        response = self._session.post(
            self._url, data=body, headers={"Content-Type": "application/json"}, timeout=timeout_s
        )
        if not response.ok:
            raise from_http_response(response)
        errors: list[Any] = response.json().get("insertErrors", [])
        return errors
