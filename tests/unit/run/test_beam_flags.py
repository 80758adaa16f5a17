"""Beam's flags, known without importing Beam."""

import argparse
import re

from apache_beam.options.pipeline_options import PipelineOptions

import pipeline.run.start  # noqa: F401 - whatever declares flags is imported
from pipeline.run.beam_flags import beam_flags


def test_every_flag_that_beam_takes_is_known():
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    taken = set(re.findall(r"(?<![\w-])--[A-Za-z][\w-]*", parsers[0].format_usage()))
    assert len(taken) > 100
    assert sorted(taken - beam_flags()) == []
