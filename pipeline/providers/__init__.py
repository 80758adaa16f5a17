"""Descriptions of providers that are shipped with Firebeam, and the one way to read any of them.

read_provider("openai")                        shipped
read_provider("./acme.yaml")                   a file, local or of any of Beam's file systems
read_provider("acme", ["acme.yaml"])           of a file that --provider names
read_provider("openai", ["my_openai.yaml"])    a file whose name: is that of a shipped one takes its place
"""

import re
from collections.abc import Sequence

from pipeline.yaml_files import YamlFiles
from transforms.errors import UsageError
from transforms.providers.description import ProviderDescription
from transforms.providers.load import KIND, load_description
from transforms.records.yaml_nodes import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9_-]+")

PROVIDERS = YamlFiles(__name__, "provider", KIND)


def read_provider(name: str, more: Sequence[str] = ()) -> ProviderDescription:
    """A provider by name, or by the path of its description.

    Args:
      more: paths of further descriptions, local or of any of Beam's file systems.

    Raises:
      SpecError: a description cannot be used; says where and why.
      UsageError: there is no such provider; names the nearest.
    """
    if not _NAME.fullmatch(name):
        return load_description(PROVIDERS.read_text(name), name)
    own = [load_description(PROVIDERS.read_text(path), path) for path in more]
    for description in reversed(own):
        if description.name == name:
            return description
    shipped = shipped_providers()
    if name not in shipped:
        known = sorted({*shipped, *(description.name for description in own)})
        raise UsageError(
            f"there is no provider {name!r}; {did_you_mean(name, known)}. For one of your own pass its description:"
            f" --provider=./{name}.yaml"
        )
    found = PROVIDERS.read(name)
    return load_description(found.text, found.file)


def shipped_providers() -> list[str]:
    """Names of the shipped descriptions.

    >>> shipped_providers()[:3]
    ['anthropic', 'apify', 'azure_openai']
    """
    return PROVIDERS.names()
