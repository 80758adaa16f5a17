"""The fields of a row of MySQL's text protocol: octets in hexadecimal, all else as UTF-8. Plain Python.

    payload of a row: each field its length, then its octets          length: 1 octet, or 252 … 254 and 2, 3 or 8 more

Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_row.html
"""

from __future__ import annotations

from collections.abc import Callable

from transforms.sql.database import Fields, Selection

_NULL = 251
_N_OCTETS_OF_LENGTH = {252: 2, 253: 3, 254: 8}


def row_reader(selection: Selection) -> Callable[[bytes], Fields]:
    """What makes the fields of a row of a selection."""
    first = 1 if selection.is_marked else 0
    binary = [first + at for at, column in enumerate(selection.table.columns) if column.type == "BYTES"]

    def of_text(payload: bytes) -> Fields:
        return [None if field is None else field.decode("utf-8", "surrogateescape") for field in split(payload)]

    def of_octets_too(payload: bytes) -> Fields:
        fields = split(payload)
        texts: list[str | None] = [None] * len(fields)
        for at in binary:
            if (octets := fields[at]) is not None:
                texts[at], fields[at] = octets.hex(), None
        for at, field in enumerate(fields):
            if field is not None:
                texts[at] = field.decode("utf-8", "surrogateescape")
        return texts

    return of_octets_too if binary else of_text


def split(payload: bytes) -> list[bytes | None]:
    r"""The fields of a row; None for NULL.

    >>> split(b"\x017\x00\xfb\x03abc"), len(split(b"\xfc\x2c\x01" + b"x" * 300)[0])
    ([b'7', b'', None, b'abc'], 300)
    """
    fields: list[bytes | None] = []
    at, end = 0, len(payload)
    while at < end:
        length = payload[at]
        at += 1
        if length < _NULL:
            fields.append(payload[at : at + length])
            at += length
        elif length == _NULL:
            fields.append(None)
        else:
            behind = at + _N_OCTETS_OF_LENGTH[length]
            length = int.from_bytes(payload[at:behind], "little")
            at = behind + length
            fields.append(payload[behind:at])
    return fields
