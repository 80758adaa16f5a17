"""What `firebeam doctor` asks a provider of batches: one page of its list, which only a valid key gets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pipeline.providers import read_provider
from transforms.providers.api import HttpBatchApi
from transforms.providers.load import parse_variables
from transforms.retry import Retry
from transforms.secrets import parse_secret

_ONCE = Retry(max_attempts=1)


def list_batches(provider: str, variables: Sequence[str], api_key: str | None) -> str:
    """Asks for the list of batches, once.

    Args:
      provider: a shipped one by name, or the path of a description.
      variables: as `--provider_var` has them.
      api_key: where the key is; None: where the description says.

    Raises:
      FirebeamError: a variable is missing, there is no key, or the provider does not accept it.
    """
    given = parse_variables(variables)
    description = read_provider(provider)
    chosen = description.with_variables(given, creates=False)
    if chosen.listing is None and description.listing is not None:
        chosen = description.with_variables(given, creates=True)  # names what the list needs
    secret = parse_secret(api_key, "--api_key") if api_key else None

    async def check() -> int:
        async with HttpBatchApi(chosen, secret, _ONCE) as api:
            return await api.check()

    n_batches = asyncio.run(check())
    key = f"the key of {api_key or chosen.auth.secret}" if api_key or chosen.auth.secret else "the account"
    return f"{chosen.name} accepts {key}; {n_batches:,} batches on the first page of its list"
