"""The flags that Beam takes, read without importing it: one of its modules declares all that a job can be given."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

_FLAG = re.compile(r"""['"](--[A-Za-z][\w-]*)['"]""")


@functools.cache
def beam_flags() -> frozenset[str]:
    """Such as `--runner`; a few that the module only mentions are among them."""
    beam = importlib.util.find_spec("apache_beam")
    if beam is None or not beam.submodule_search_locations:
        return frozenset()
    file = Path(beam.submodule_search_locations[0], "options", "pipeline_options.py")
    return frozenset(_FLAG.findall(file.read_text(encoding="utf-8")))
