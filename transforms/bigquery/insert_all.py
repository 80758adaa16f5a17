"""One insertAll request, from rows that are JSON text already. No Beam.

The client library's `insert_rows_json` encodes every row itself, with the standard library's encoder; rows have to be
encoded before anyway, to know how many bytes they take. Its session is used, with the same credentials.

    rows = [entry({"name": "Ada"}, "id-1"), entry({"name": "Bob"}, "id-2")]
    errors = InsertAll(target).send(rows, timeout_s=60)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from google.api_core.exceptions import from_http_response

from transforms.bigquery.target import BigQueryTarget

_START, _END = b'{"skipInvalidRows":true,"ignoreUnknownValues":false,"rows":[', b"]}"

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


class InsertAll:
    """Sends rows to one table; for one thread. Connects when it is first used.

    Rows that BigQuery refuses do not keep the others out.
    """

    def __init__(self, target: BigQueryTarget):
        self._target = target
        table = f"projects/{target.project}/datasets/{target.dataset}/tables/{target.table}"
        self._url = f"{target.url}/bigquery/v2/{table}/insertAll"
        self._session: Any = None

    def send(self, entries: Sequence[bytes], timeout_s: float) -> list[Any]:
        """Sends one request and returns its insertErrors.

        Args:
          entries: of `entry`, at least one.

        Raises:
          GoogleAPICallError: the request as a whole was refused.
          NETWORK_ERRORS of `failures.py`: there was no answer.
        """
        if self._session is None:
            self._session = self._target.session()
        body = b"".join((_START, b"".join(entries)[:-1], _END))
        response = self._session.post(
            self._url, data=body, headers={"Content-Type": "application/json"}, timeout=timeout_s
        )
        if not response.ok:
            raise from_http_response(response)
        errors: list[Any] = response.json().get("insertErrors", [])
        return errors
