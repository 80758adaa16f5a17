"""What is checked about a job's template without building or launching it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from google.cloud import dataflow_v1beta3
from google.protobuf import json_format

from pipeline import JOBS
from tests.support.dockerfile import DOCKERFILE, ROOT


def metadata_file(job: str) -> Path:
    """Where the product keeps it."""
    return ROOT / "templates" / f"{job}.json"


def parsed(job: str) -> dataflow_v1beta3.TemplateMetadata:
    """The metadata as the service understands it. Raises json_format.ParseError about a field that it does not have."""
    content: dict[str, Any] = json.loads(metadata_file(job).read_text())
    for parameter in content["parameters"]:  # the API's JSON has the enum's names, as the file has
        assert parameter["paramType"] in dataflow_v1beta3.ParameterType.__members__, parameter
    message = dataflow_v1beta3.TemplateMetadata.pb(dataflow_v1beta3.TemplateMetadata())
    json_format.ParseDict(content, message)
    return dataflow_v1beta3.TemplateMetadata.wrap(message)


def metadata_problems(job: str) -> list[str]:
    """What is wrong with a job's metadata, beside what `parsed` raises."""
    of, problems = parsed(job), []
    if of.streaming != JOBS[job].streaming:
        problems.append("streaming is not what the job is")
    for parameter in of.parameters:
        for regex in parameter.regexes:
            if parameter.default_value and not re.fullmatch(regex, parameter.default_value):
                problems.append(f"{parameter.name}: its default is not what {regex} matches")
        if not (parameter.label and parameter.help_text and parameter.group_name):
            problems.append(f"{parameter.name}: no label, help text or group")
    return problems


def lint() -> None:
    """Raises AssertionError about a Dockerfile that hadolint complains of."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(hadolint), str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
