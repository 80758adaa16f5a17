"""How many processes a pipeline declares, so that they can divide what the job as a whole may do."""

import logging
import re

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)

_LOG = logging.getLogger(__name__)

_VCPUS = re.compile(r"-(\d+)(?:-\w+)?$")


def declared_parallelism(options: PipelineOptions) -> int:
    """Max workers times SDK processes on each, by the options of a pipeline.

    A Dataflow worker runs one SDK process a vCPU, or a single one under the experiment use_sdk_container_per_vm or
    no_use_multiple_sdk_containers. A local runner has --direct_num_workers.

    >>> declared_parallelism(PipelineOptions(["--max_num_workers=10", "--machine_type=n2-standard-8"]))
    80
    >>> declared_parallelism(PipelineOptions([]))
    1
    """
    workers = options.view_as(WorkerOptions)
    if options.view_as(StandardOptions).runner != "DataflowRunner" and not workers.max_num_workers:
        return max(1, options.view_as(DirectOptions).direct_num_workers or 1)
    if not workers.max_num_workers:
        _LOG.warning(
            "the write budget is divided by the workers that --num_workers names, as --max_num_workers is absent; name "
            "it, or pass parallelism=, so that an autoscaled job keeps its budget"
        )
    n_workers = workers.max_num_workers or workers.num_workers or 1
    return int(n_workers) * processes_per_worker(options)


def processes_per_worker(options: PipelineOptions) -> int:
    """SDK processes on one worker.

    >>> processes_per_worker(PipelineOptions(["--machine_type=n1-standard-4"]))
    4
    """
    experiments = set(options.view_as(DebugOptions).experiments or ())
    if experiments & {"use_sdk_container_per_vm", "no_use_multiple_sdk_containers"}:
        return 1
    vcpus = _VCPUS.search(options.view_as(WorkerOptions).machine_type or "")
    return int(vcpus[1]) if vcpus else 1
