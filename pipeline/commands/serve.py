"""firebeam serve: jobs, batches, rates and dead letters in a browser, live, as the ledger says.

    firebeam serve                        on this computer: http://127.0.0.1:8780
    firebeam serve --host=0.0.0.0         for others, with a token that is made and printed

It reads the ledger and never writes. Ctrl-C ends it, with exit code 0.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.exit_codes import EXIT_OK
from pipeline.present.terminal import Console, say
from pipeline.run.flags import Usage, from_environment, option, parse_only
from pipeline.run.service_flags import AccountFlags

_TOKEN_BYTES = 24
_EVERY_ADDRESS, _THIS_COMPUTER = frozenset({"0.0.0.0", "::"}), "localhost"  # noqa: S104


@dataclass(frozen=True, kw_only=True)
class Config(AccountFlags):
    """The flags of serve."""

    host: str = option(
        "127.0.0.1", group="Server", metavar="ADDRESS", help="address to listen on; one that others reach needs a token"
    )
    port: int = option(8780, group="Server", minimum=0, maximum=65_535, help="port to listen on; 0 for any free one")
    token: str | None = option(
        None,
        group="Server",
        metavar="TEXT",
        help="what everybody must know who looks; default: none on this computer, a new one for others",
    )
    open: bool = option(False, group="Server", help="open the page in a browser")
    refresh_s: float = option(
        2, group="Page", minimum=0.5, maximum=3_600, help="seconds between two looks at the ledger while something runs"
    )
    show_ids: bool = option(False, group="Page", help="show ids of documents, which may be names of people")


USAGE = Usage(
    "serve",
    Config,
    about="""\
Shows the jobs of this database in a browser, live: what runs, how far it is, what is stuck and why. It only reads the
ledger, for which the account needs roles/datastore.viewer. Its flags may also be set in the environment, as FIREBEAM_
and the name.""",
    example="""\
  firebeam serve --project=my-project --open
  FIREBEAM_TOKEN=… firebeam serve --project=my-project --host=0.0.0.0 --port=8080""",
)


def main(arguments: Sequence[str], console: Console) -> int:
    """Returns when the process is asked to stop.

    Raises:
      UsageError: a flag is wrong, or the port is taken.
    """
    config = parse_only(USAGE, from_environment(USAGE, arguments))
    target = config.firestore(config.services())
    from pipeline.run.status_server import url_of
    from pipeline.serve.access import is_loopback
    from pipeline.serve.app import Pages
    from pipeline.serve.server import serve, topics_of  # import aiohttp, for which nobody waits who asks for help

    token = config.token or ("" if is_loopback(config.host) else secrets.token_urlsafe(_TOKEN_BYTES))
    topics = topics_of(target.connect(), config.refresh_s, show_ids=config.show_ids)

    def announce(port: int) -> None:
        host = _THIS_COMPUTER if config.host in _EVERY_ADDRESS else config.host
        address = f"{url_of(host, port)}/" + (f"?token={token}" if token else "")
        say(console, f"the status page of {target.name}: {address}")
        say(console, "Ctrl-C ends it")
        if config.open:
            import webbrowser

            webbrowser.open(address)

    asyncio.run(serve(Pages(topics, config.host, token), config.port, announce))
    return EXIT_OK
