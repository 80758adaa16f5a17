"""Runs a scripted Cosmos DB account until it is interrupted: `python -m transforms.testing.cosmos --port=8081`.

It prints the account's endpoint on a line of its own; any key is accepted.
"""

from __future__ import annotations

from transforms.testing.command_line import parser_of, serve
from transforms.testing.cosmos.script import parse_script
from transforms.testing.cosmos.server import CosmosServer

if __name__ == "__main__":
    serve(parser_of("transforms.testing.cosmos", __doc__ or ""), lambda flags: CosmosServer(), parse_script)
