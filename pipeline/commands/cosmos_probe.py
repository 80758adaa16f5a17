"""What `firebeam doctor` asks an account of Cosmos DB: who it is, and the names of its databases."""

from __future__ import annotations

from collections.abc import Mapping

from transforms.cosmos.check import check_account
from transforms.cosmos.target import CosmosTarget
from transforms.retry import Retry

_SHOWN_NAMES = 3


def open_account(environ: Mapping[str, str]) -> str:
    """The databases of the account that the environment names. Raises UsageError or JobError with the fix."""
    names = check_account(CosmosTarget.of_account(environ, Retry(max_attempts=2)))
    if names is None:
        return "answers; this identity may not list its databases, which no job needs"
    shown = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
    return f"answers; databases: {shown or 'none yet'}"
