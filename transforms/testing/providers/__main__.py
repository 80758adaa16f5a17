"""Runs a scripted provider until it is interrupted: `python -m transforms.testing.providers --provider=openai`.

It prints the address that the provider's own base URL is replaced by, on a line of its own.
"""

from __future__ import annotations

from transforms.testing.command_line import parser_of, serve
from transforms.testing.providers.script import PROVIDERS, parse_script
from transforms.testing.providers.server import ProviderServer

if __name__ == "__main__":
    parser = parser_of("transforms.testing.providers", __doc__ or "")
    parser.add_argument("--provider", required=True, choices=PROVIDERS)
    serve(parser, lambda flags: ProviderServer(flags.provider), parse_script)
