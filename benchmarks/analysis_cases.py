"""Asking a model about each record: a scripted provider that answers after 200 ms, 32 questions at once.

analyse          the ingest job with --analyse; run again, every answer is stored
openai_calls     the same calls by OpenAI's own asynchronous client, and nothing else
run_inference    Beam's RunInference with a handler that asks one prompt after the other, as Beam's own for Gemini and
                 Anthropic do
"""

import asyncio
import functools
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from benchmarks.jobs import run_job
from benchmarks.measure import CaseError, Meter, Sample
from pipeline.jobs.ingest import JOB
from pipeline.specs import SPECS, read_spec
from transforms.records.analysis import Analysis
from transforms.testing.providers import scripted_provider

_LATENCY_S = 0.2
_AT_ONCE = 32
_MODEL = "gpt-5-mini"
# Of the section of the spec: an id is sent, too, so that no two questions are the same.
_FIELDS = "  into: model_analysis\n  fields:\n"
_SCRIPT = {"endpoints": [{"endpoint": "chat", "delay_s": _LATENCY_S, "times": None}]}


def analyse(path: str, profiles: int, project: str, *, again: bool = False) -> Sample:
    """Ingests a file of profiles and asks about each.

    Args:
      again: measures a second run, whose answers are all stored.
    """
    os.environ["OPENAI_API_KEY"] = "sk-of-a-benchmark"
    with scripted_provider("openai", _SCRIPT) as provider, TemporaryDirectory() as folder:
        spec = Path(folder) / "profiles.yaml"
        spec.write_text(SPECS.read("profiles").text.replace(_FIELDS, f"{_FIELDS}    id: candidate_id\n"))
        flags = [
            f"--input={path}",
            f"--spec={spec}",
            f"--project={project}",
            f"--analyse=openai/{_MODEL}",
            f"--analyse_url={provider.base_url}",
            "--analyse_api_key=env:OPENAI_API_KEY",
            f"--analyse_concurrency={_AT_ONCE}",
        ]
        meter, summary = run_job(JOB, profiles, flags)
        if again:
            meter, summary = run_job(JOB, profiles, flags)
    expected = 0 if again else profiles
    if (summary["read"], summary.get("analyses_asked", 0)) != (profiles, expected):
        raise CaseError(f"ingest of {profiles} profiles should have asked {expected} questions: {summary}")
    return meter.sample()


def openai_calls(path: str, profiles: int, project: str) -> Sample:
    """The same number of calls by OpenAI's client, with its own retries off."""
    import openai

    async def ask_all(url: str) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)
        async with openai.AsyncOpenAI(api_key="sk-of-a-benchmark", base_url=url, max_retries=0) as client:

            async def ask(payload: str) -> None:
                async with slots:
                    await client.chat.completions.create(**_call(payload))

            await asyncio.gather(*map(ask, _payloads(path, profiles)))

    with scripted_provider("openai", _SCRIPT) as provider, Meter(profiles) as meter:
        asyncio.run(ask_all(provider.base_url))
    return meter.sample()


class _OneByOne(ModelHandler[str, PredictionResult, Any]):
    """Asks one prompt after the other, by OpenAI's client."""

    def __init__(self, url: str):
        super().__init__()
        self._url = url

    def load_model(self) -> Any:
        import openai

        return openai.OpenAI(api_key="sk-of-a-benchmark", base_url=self._url, max_retries=0)

    def run_inference(
        self, batch: Sequence[str], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterator[PredictionResult]:
        for payload in batch:
            yield PredictionResult(payload, model.chat.completions.create(**_call(payload)))


def run_inference(path: str, profiles: int, project: str) -> Sample:
    """Beam's transform for models."""
    with scripted_provider("openai", _SCRIPT) as provider, Meter(profiles) as meter:
        pipeline = beam.Pipeline(runner=FnApiRunner())
        prompts = pipeline | beam.Create(list(_payloads(path, profiles)), reshuffle=False)
        _ = prompts | RunInference(_OneByOne(provider.base_url))
        pipeline.run().wait_until_finish()
    return meter.sample()


def _payloads(path: str, profiles: int) -> Iterator[str]:
    with Path(path).open(encoding="utf-8") as lines:
        for line in itertools.islice(lines, profiles):
            yield json.dumps(_analysis().found_in(json.loads(line)))


def _call(payload: str) -> dict[str, Any]:
    return {**_same_for_all(), "messages": [*_same_for_all()["messages"], {"role": "user", "content": payload}]}


@functools.cache
def _same_for_all() -> dict[str, Any]:
    analysis = _analysis()
    schema = {"name": "answer", "strict": True, "schema": json.loads(analysis.schema)}
    return {
        "model": _MODEL,
        "messages": [{"role": "system", "content": analysis.instructions}],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "max_completion_tokens": analysis.max_output_tokens,
    }


@functools.cache
def _analysis() -> Analysis:
    analysis = read_spec("profiles").analysis
    assert analysis is not None, "the shipped spec says what to ask"
    return analysis
