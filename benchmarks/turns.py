"""Runs the cases of a suite in turn, round after round, on emulators of their own.

    round 1:  A B C     round 2:  B C A     round 3:  C A B     ─▶ the median of each

A busy machine slows down for minutes at a time: what is run in turn is slowed down alike, so ratios hold where absolute
figures do not, and no case always comes first. Each run of a case has an emulator of its own, because Firestore's keeps
every old version of every document, grows slower by it, and at last answers WriteBatch no more; only cases that work on
the documents of another one share its emulator, and suites that look at CPU alone have one. Cases of listening start a
scripted server themselves.
"""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measure import CaseError, Sample, run_case
from pipeline.emulators.start import DEMO_PREFIX, BigQueryEmulator, bigquery_emulator, firestore_emulator

BIGQUERY_PROJECT = "demo-benchmarks"
Say = Callable[[str], None]

_WARM_UPS = 3
_HEAP_GB = 8  # of an emulator: one that runs out of memory is busy with nothing else


@dataclass(frozen=True)
class Step:
    """One case and how it is shown.

    Attributes:
      label: its row.
      case: in `cases.CASES`.
      arguments: beside the project, which every run has anew.
      same_project_as: label of a step whose documents it works on; that step stands before it.
      needs_bigquery: left out where the BigQuery emulator cannot run.
    """

    label: str
    case: str
    arguments: Mapping[str, Any]
    same_project_as: str | None = None
    needs_bigquery: bool = False


@dataclass
class Suite:
    """Some steps that are compared.

    Attributes:
      elements: what is counted, such as profiles.
      baseline: label of the step that the others are compared with.
      rounds: how often each step is run.
      warm_up: run before every chain of steps until the emulator has compiled what the suite asks of it; None for
        cases that bring a server of their own.
      one_emulator: whether all chains share one, each in a project of its own: where only the client's CPU matters.
    """

    name: str
    title: str
    elements: str
    steps: list[Step]
    baseline: str | None
    rounds: int
    warm_up: Step | None
    one_emulator: bool = False


@dataclass
class Measured:
    """All runs of one step.

    Attributes:
      label, case, arguments: as in `Step`.
      samples: one a round.
    """

    label: str
    case: str
    arguments: Mapping[str, Any]
    samples: list[Sample] = field(default_factory=list)

    def median(self, figure: Callable[[Sample], float | None]) -> float | None:
        """Of one figure over the rounds; None where no round has it."""
        values = [value for sample in self.samples if (value := figure(sample)) is not None]
        return statistics.median(values) if values else None


def run_suite(suite: Suite, emulator: BigQueryEmulator | None, say: Say) -> list[Measured]:
    """Runs every step so many times, in turn; those that share documents on one Firestore emulator, the others not.

    Args:
      emulator: of BigQuery; holds `BIGQUERY_PROJECT`.
      say: told what is measured next.
    """
    steps = [step for step in suite.steps if emulator or not step.needs_bigquery]
    measured = {step.label: Measured(step.label, step.case, step.arguments) for step in steps}
    with _warm_emulator(suite) if suite.one_emulator else nullcontext() as host:
        for round_number in range(suite.rounds):
            turn = f"round {round_number + 1} of {suite.rounds}"
            for chain in _turned(_chains(steps), round_number):
                samples = _run_chain_or_again(suite, chain, emulator, host, turn, say)
                for step, sample in zip(chain, samples, strict=True):
                    measured[step.label].samples.append(sample)
    return list(measured.values())


def _run_chain_or_again(
    suite: Suite, chain: list[Step], emulator: BigQueryEmulator | None, host: str | None, turn: str, say: Say
) -> list[Sample]:
    """Runs a chain, once more as a whole if a step fails: the client library gives up on a slow moment."""
    try:
        return _run_chain(suite, chain, emulator, host, turn, say)
    except CaseError as failure:
        say(f"{suite.title}: {turn}: failed and is run once more; the end of the output: {str(failure)[-200:]}")
    return _run_chain(suite, chain, emulator, host, turn, say)


def _run_chain(
    suite: Suite, chain: list[Step], emulator: BigQueryEmulator | None, host: str | None, turn: str, say: Say
) -> list[Sample]:
    if suite.warm_up is None:
        return [_run_alone(suite, step, turn, say) for step in chain]
    samples = []
    project = _new_project()
    with nullcontext(host) if host else _warm_emulator(suite) as its_host:
        environ = {"FIRESTORE_EMULATOR_HOST": its_host} | _addresses(emulator)
        for step in chain:
            say(f"{suite.title}: {turn}: {step.label}")
            arguments = dict(step.arguments) | {"project": project}
            if step.needs_bigquery:
                arguments["bigquery_table"] = f"{BIGQUERY_PROJECT}:local.benchmark_{uuid.uuid4().hex[:8]}"
            samples.append(run_case(step.case, arguments, environ))
    return samples


@contextmanager
def _warm_emulator(suite: Suite) -> Iterator[str]:
    """A Firestore emulator that has compiled what the suite asks of it."""
    with firestore_emulator(max_heap_gb=_HEAP_GB) as host:
        for step in [suite.warm_up] * _WARM_UPS if suite.warm_up else []:
            arguments = dict(step.arguments) | {"project": _new_project()}
            run_case(step.case, arguments, {"FIRESTORE_EMULATOR_HOST": host})
        yield host


def _run_alone(suite: Suite, step: Step, turn: str, say: Say) -> Sample:
    say(f"{suite.title}: {turn}: {step.label}")
    return run_case(step.case, step.arguments, {})


def bigquery_of_suites(say: Say) -> AbstractContextManager[BigQueryEmulator]:
    """A BigQuery emulator for all suites; holds `BIGQUERY_PROJECT`."""
    return bigquery_emulator(BIGQUERY_PROJECT, say=say)


def _addresses(emulator: BigQueryEmulator | None) -> dict[str, str]:
    if emulator is None:
        return {}
    named = {"BIGQUERY_EMULATOR_HOST": emulator.rest, "BIGQUERY_EMULATOR_GRPC_HOST": emulator.grpc}
    return {name: address for name, address in named.items() if address}


def _chains(steps: list[Step]) -> list[list[Step]]:
    """Steps that share documents, together and in their order.

    >>> a, b, a2 = Step("a", "x", {}), Step("b", "x", {}), Step("a2", "x", {}, same_project_as="a")
    >>> [[step.label for step in chain] for chain in _chains([a, b, a2])]
    [['a', 'a2'], ['b']]
    """
    owners = [step for step in steps if step.same_project_as is None]
    return [[owner, *(step for step in steps if step.same_project_as == owner.label)] for owner in owners]


def _turned(chains: list[list[Step]], by: int) -> list[list[Step]]:
    """The chains, beginning with another one."""
    first = by % len(chains)
    return chains[first:] + chains[:first]


def _new_project() -> str:
    return f"{DEMO_PREFIX}{uuid.uuid4().hex[:12]}"
