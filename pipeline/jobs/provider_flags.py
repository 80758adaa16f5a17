"""How ingest waits for the batches of a provider: its flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.run.flags import option
from transforms.files import GCS
from transforms.secrets import FORMS

if TYPE_CHECKING:
    from transforms.providers.connect import Connect

_GROUP = "Provider batches"


@dataclass(frozen=True, kw_only=True)
class ProviderFlags:
    """The flags of batches at a provider."""

    requests: tuple[str, ...] = option(
        (),
        group=_GROUP,
        metavar="PATTERN",
        help="files of requests for --input=batches://PROVIDER, JSON Lines as the provider takes them; one batch per "
        "file, or several where a file is too large for one",
        prefixes=(GCS,),
    )
    provider: tuple[str, ...] = option(
        (), group=_GROUP, metavar="FILE", help="further descriptions of providers, YAML, local or gs://"
    )
    provider_var: tuple[str, ...] = option(
        (),
        group=_GROUP,
        metavar="NAME=VALUE",
        help="fills {NAME} in the description of the provider; base_url=URL names another address; repeat it",
        commas=False,
    )
    api_key: str | None = option(
        None,
        group=_GROUP,
        metavar="env:NAME",
        help=f"where the provider's key is: {FORMS}; read by the worker; "
        "default: the variable that the description names",
    )
    max_wait_s: float = option(
        86_400,
        group=_GROUP,
        minimum=0,
        help="stop waiting for batches after this many seconds; 0 takes what is ready now",
    )
    min_poll_interval_s: float = option(
        2, group=_GROUP, minimum=0.1, maximum=3_600, help="least seconds between two polls of the provider"
    )
    max_poll_interval_s: float = option(
        60,
        group=_GROUP,
        minimum=0.1,
        maximum=3_600,
        help="most seconds between two polls; in between, a tenth of the age of the youngest running batch",
    )
    max_running: int | None = option(
        None,
        group=_GROUP,
        minimum=1,
        help="maximum batches at the provider at once; default: as the description says",
    )
    retry_failed: bool = option(
        False, group=_GROUP, help="trigger again what failed, expired or has no result, and only that"
    )
    max_batch_attempts: int = option(
        3, group=_GROUP, minimum=1, maximum=20, help="how often a batch is triggered at most, with retry_failed"
    )


def connect_of(
    name: str, files: Sequence[str], variables: Sequence[str], api_key: str | None, *, creates: bool = False
) -> Connect:
    """A provider as flags describe it. Calls nobody, and reads no secret.

    Args:
      name: of a shipped description, or of one in the files.
      creates: whether batches will be created.

    Raises:
      UsageError: there is no such provider, a variable is missing or wrong, or the key stands there itself.
    """
    from pipeline.providers import read_provider  # whoever only asks for help waits for no YAML
    from transforms.providers.connect import Connect
    from transforms.providers.load import parse_variables
    from transforms.secrets import parse_secret

    description = read_provider(name, files).with_variables(parse_variables(variables), creates=creates)
    source = None if description.auth.is_google else parse_secret(api_key or description.auth.secret, "--api_key")
    return Connect(description, source)
