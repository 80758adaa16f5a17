"""Beam's side of a run: its options, its runners, and what its failures mean."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
)
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import create_runner

from pipeline.run.beam_flags import beam_flags
from pipeline.run.flags import Usage, refuse_unknown
from pipeline.run.job import C, Job, P
from transforms.errors import FirebeamError, UsageError
from transforms.services import EMULATOR_VARIABLES

View = TypeVar("View", bound=PipelineOptions)

DATAFLOW_RUNNER = "DataflowRunner"
# Beam's other ways to write it.
_DATAFLOW_RUNNERS = frozenset({"dataflow", "dataflowrunner"})
_VIEWS = "_views"
_LOCAL_RUNNERS = frozenset({"DirectRunner", "FnApiRunner", "BundleBasedDirectRunner", "SwitchingDirectRunner"})


def beam_options(usage: Usage[C], config: C, rest: Sequence[str]) -> PipelineOptions:
    """Beam's own options from the arguments that the job left over.

    Raises:
      UsageError: neither the job nor Beam knows an argument.
    """
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    parsers[0].error = _refuse  # type: ignore[method-assign]  # instead of pages of Beam's own usage
    _, unknown = parsers[0].parse_known_args(list(rest))
    if unknown:
        refuse_unknown(usage, unknown, beam_flags())
    shared = [f"--project={config.project}"] if config.project else []
    options = _Options([*rest, *shared])
    if (workers := options.view_as(DirectOptions).direct_num_workers) < 0:
        raise UsageError(f"--direct_num_workers must be at least 0, which means one per processor, got {workers}")
    standard = options.view_as(StandardOptions)
    if (standard.runner or "").rpartition(".")[2].lower() in _DATAFLOW_RUNNERS:
        standard.runner = DATAFLOW_RUNNER
    # Workers import modules; a pickled main session would drag the launcher's state along.
    options.view_as(SetupOptions).save_main_session = False
    name = runner(options)
    if isinstance(name, str):
        try:
            create_runner(name)
        except ValueError:
            raise UsageError(
                f"--runner={name} is not a runner that Beam knows; try DirectRunner or DataflowRunner"
            ) from None
    return options


def _refuse(message: str) -> NoReturn:
    raise UsageError(message)


class _Options(PipelineOptions):
    """Options whose views are made once: to make one parses the command line, and for a graph of 20 steps Beam asks for
    one 240 times, which takes longer than all the rest of drawing it."""

    def view_as(self, cls: type[View]) -> View:
        views: dict[type[View], View] = self.__dict__.setdefault(_VIEWS, {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != _VIEWS}


def runner(options: PipelineOptions) -> Any:
    """The runner that the options name. Local ones are all Beam's FnApiRunner: today's DirectRunner first tries to
    download another."""
    name = options.view_as(StandardOptions).runner
    return FnApiRunner() if name is None or name.rpartition(".")[2] in _LOCAL_RUNNERS else name


def drawn(job: Job[C, P], plan: P, options: PipelineOptions) -> beam.Pipeline:
    """The graph of an opened run, once there is what it writes to."""
    job.provision(plan)
    pipeline = beam.Pipeline(runner=runner(options), options=options)
    job.build(pipeline, plan)
    return pipeline


def on_dataflow(options: PipelineOptions) -> bool:
    """Whether the job runs on Google Cloud."""
    return bool(runner(options) == DATAFLOW_RUNNER)


# A worker's failure arrives as the text of its traceback, with the step that failed at the end.
_OWN_ERROR = re.compile(
    r"^(?:\w+\.)+(?:JobError|TransientError|OutageError|AccountingError|UsageError): (.*)$", re.MULTILINE
)
_STEP = re.compile(r"\s*\[while running '([^']*)'\]")


def explain(failure: BaseException) -> str:
    """One sentence about what ended a run, without traceback.

    >>> explain(RuntimeError("Traceback …\\ntransforms.errors.JobError: no table [while running 'InsertRows']\\n"))
    'no table (step InsertRows)'
    """
    own = _OWN_ERROR.findall(str(failure))
    if isinstance(failure, FirebeamError):
        text = str(failure)
    elif own:
        text = own[-1]
    else:
        lines = [line for line in str(failure).splitlines() if line.strip()]
        text = f"{type(failure).__name__}: {lines[-1].strip()}" if lines else type(failure).__name__
    return _STEP.sub(r" (step \1)", text, count=1)


def refuse_cloud_with_emulators(options: PipelineOptions, environ: Mapping[str, str]) -> None:
    """A job on Google Cloud that was pointed at a laptop's emulator would fail there, or write somewhere unexpected."""
    set_variables = [name for name in EMULATOR_VARIABLES if environ.get(name)]
    endpoint = options.view_as(GoogleCloudOptions).dataflow_endpoint or ""
    if on_dataflow(options) and set_variables and "//localhost" not in endpoint:
        raise UsageError(
            f"{', '.join(set_variables)} points at an emulator, which Dataflow cannot reach; unset it: "
            f"unset {' '.join(set_variables)}"
        )


def refuse_several_workers(options: PipelineOptions) -> None:
    """A local runner drops what is left of a source that has no end, unless one worker in this process reads it.

    Raises:
      UsageError: there would be more.
    """
    direct = options.view_as(DirectOptions)
    if not isinstance(runner(options), FnApiRunner):
        return
    if direct.direct_num_workers != 1 or direct.direct_running_mode == "multi_processing":
        raise UsageError(
            "a job that has no end runs here with one worker in this process: with more, Beam's local runner drops "
            "changes; leave out --direct_num_workers and --direct_running_mode"
        )


def is_one_worker(options: PipelineOptions) -> bool:
    """Whether one thread of the launching process is the only worker."""
    return in_this_process(options) and options.view_as(DirectOptions).direct_num_workers == 1


def in_this_process(options: PipelineOptions) -> bool:
    """Whether the workers are threads of the launching process."""
    local = isinstance(runner(options), FnApiRunner)
    return local and options.view_as(DirectOptions).direct_running_mode != "multi_processing"
