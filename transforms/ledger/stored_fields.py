"""Whether a document in the ledger's collections has the fields of a job or stream, or is somebody else's. Plain data.

Other applications share the database, and nobody keeps them from a collection by its name.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from types import NoneType
from typing import Any

Types = Mapping[str, tuple[type, ...]]

OWNER: Types = {"host": (str,), "pid": (int,), "since": (datetime.datetime,)}

_TYPE_NAMES = {str: "a string", int: "an integer", dict: "a map", datetime.datetime: "a timestamp", NoneType: "null"}


def misfit(fields: Any, types: Types, prefix: str = "") -> str:
    """What is wrong with the types of fields; empty if nothing is.

    Args:
      fields: of a document, or of a map in it.
      types: every field that must be there, and of which types.
      prefix: of names in the message.

    >>> misfit({"attempt": True}, {"attempt": (int,)}), misfit({}, {"host": (str,)}, "owner.")
    ('its field attempt is not an integer', 'it has no field owner.host')
    """
    for name, allowed in types.items():
        if name not in fields:
            return f"it has no field {prefix}{name}"
        if type(fields[name]) not in allowed:
            return f"its field {prefix}{name} is not {' or '.join(_TYPE_NAMES[each] for each in allowed)}"
    return ""
