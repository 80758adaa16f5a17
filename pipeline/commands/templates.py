"""firebeam templates: the metadata of every job's Flex Template, made from the declarations of its flags.

    option() of a Config ──▶ flag, --help          run/flags.py
                         ╰─▶ templates/JOB.json    here: what a console's form shows and checks

A test compares the files with the flags, so they cannot drift apart. What the fields mean: "Configure Flex Templates"
in the Dataflow documentation; their types: google.cloud.dataflow_v1beta3.TemplateMetadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import JOBS
from pipeline.present.terminal import Console, say
from pipeline.run.flags import Flag, Usage, flags_of, option, parse_only, shown
from transforms.errors import UsageError

# Words that a label does not write as it would write others.
_SPELLED = {"id": "ID", "bigquery": "BigQuery", "csv": "CSV", "json": "JSON"}
_BOOLEANS = ("true", "false")


@dataclass(frozen=True)
class Config:
    """The flags of templates."""

    directory: str = option("templates", group="Files", metavar="DIR", help="where the files are")
    write: bool = option(False, group="Files", help="write them")
    check: bool = option(False, group="Files", help="compare them; exit code 1 if one differs")


USAGE = Usage(
    "templates",
    Config,
    about="""\
Prints the metadata of the jobs' Flex Templates as one JSON object, or writes and checks the files that the product
ships, one a job.""",
    example="""\
  firebeam templates --write      # after a flag was added or changed
  firebeam templates --check      # exit code 1 if a file is not what the flags make of it""",
)


def main(arguments: Sequence[str], console: Console) -> int:
    """Prints to standard output, unless it is told to write or to check.

    Raises:
      UsageError: the directory is not there.
    """
    config = parse_only(USAGE, arguments)
    texts = {f"{job}.json": _text(metadata(job)) for job in JOBS}
    if not config.write and not config.check:
        print(json.dumps({job: metadata(job) for job in JOBS}, indent=2))  # noqa: T201
        return 0
    directory = Path(config.directory)
    if not directory.is_dir():
        raise UsageError(f"there is no folder {directory}; run this where it is, or pass --directory=DIR")
    if config.write:
        for name, text in texts.items():
            (directory / name).write_text(text, encoding="utf-8")
    stale = [name for name, text in texts.items() if not _holds(directory / name, text)]
    for name in stale:
        line = f"{directory / name} is not what its flags make of it; run `firebeam templates --write`"
        say(console, line)
    return 1 if stale else 0


def metadata(job: str) -> dict[str, Any]:
    """The metadata of a job's template: what `gcloud dataflow flex-template build --metadata-file` takes."""
    entry = JOBS[job]
    described: dict[str, Any] = {
        "name": f"Firebeam {job}",
        "description": " ".join(entry.usage.about.split()),
        "streaming": entry.streaming,
    }
    if entry.streaming:
        described |= {"supportsExactlyOnce": True, "supportsAtLeastOnce": True, "defaultStreamingMode": "EXACTLY_ONCE"}
    described["parameters"] = [parameter(flag) for flag in flags_of(entry.usage.config) if flag.declared.in_templates]
    return described


def parameter(flag: Flag) -> dict[str, Any]:
    """The parameter of one flag.

    >>> from pipeline.run.job_config import JobConfig
    >>> (restart,) = (parameter(flag) for flag in flags_of(JobConfig) if flag.name == "restart")
    >>> restart["label"], restart["paramType"], restart["defaultValue"], restart["regexes"]
    ('Restart', 'BOOLEAN', 'false', ['^(true|false)$'])
    """
    declared, pattern = flag.declared, _pattern(flag)
    has_default = flag.default not in (None, ())
    # A default that the pattern refuses is one of a laptop's, such as a local folder: in a template it must be given.
    fits = has_default and re.fullmatch(pattern or ".*", shown(flag.default)) is not None
    described: dict[str, Any] = {
        "name": flag.name,
        "label": declared.label or _label(flag.name),
        "helpText": _help(flag),
        "isOptional": not flag.required and (fits or not has_default),
        "paramType": declared.parameter or _type(flag),
        "groupName": declared.group,
    }
    if pattern:
        described["regexes"] = [f"^({pattern})$"]
    if declared.choices:
        described["enumOptions"] = [{"value": choice, "label": choice} for choice in declared.choices]
    if fits:
        described["defaultValue"] = shown(flag.default)
    if declared.shown_with:
        parent, values = declared.shown_with
        described |= {"parentName": parent, "parentTriggerValues": list(values)}
    return described


def _label(name: str) -> str:
    """
    >>> _label("bigquery_table"), _label("job_id"), _label("max_outage_s"), _label("max_writes_per_s")
    ('BigQuery table', 'Job ID', 'Max outage (s)', 'Max writes per s')
    """
    words = [_SPELLED.get(word, word) for word in name.split("_")]
    if words[-1] == "s" and "per" not in words:
        words[-1] = "(s)"
    text = " ".join(words)
    return text[0].upper() + text[1:]


def _help(flag: Flag) -> str:
    declared, bounds = flag.declared, []
    if declared.minimum is not None:
        bounds.append(f"at least {declared.minimum:,}")
    if declared.maximum is not None:
        bounds.append(f"at most {declared.maximum:,}")
    text = declared.help[0].upper() + declared.help[1:] + (f"; {', '.join(bounds)}" if bounds else "")
    return f"{text}."


def _type(flag: Flag) -> str:
    if flag.declared.choices and not flag.several:
        return "ENUM"
    return {bool: "BOOLEAN", int: "NUMBER", float: "NUMBER"}.get(flag.kind, "TEXT")


def _pattern(flag: Flag) -> str | None:
    """The regular expression of a value's text, or of several with commas between them; None if any will do."""
    one: str | None = flag.declared.pattern
    if one is None and flag.declared.prefixes:
        one = rf"({'|'.join(flag.declared.prefixes)}){'[^,]+' if flag.separated else '.+'}"
    if one is None and flag.declared.choices:
        one = "|".join(flag.declared.choices)
    if one is None:
        one = {bool: "|".join(_BOOLEANS), int: r"\d+", float: r"\d+(\.\d+)?"}.get(flag.kind)
    return one if one is None or not flag.separated else f"({one})(,({one}))*"


def _text(described: dict[str, Any]) -> str:
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text
