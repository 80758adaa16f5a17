"""Asking a model about each record, as a part of ingest: what its flags mean, and what it would cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pipeline.exit_codes import EXIT_OK
from pipeline.jobs.ingest_flags import Config
from pipeline.jobs.ingest_sources import Sources
from pipeline.present.tables import Column, Table
from pipeline.present.terminal import Console, show
from pipeline.providers import read_provider
from pipeline.run.job import Instead
from transforms.analysis.cache import AnswerCache
from transforms.analysis.connect import ConnectChat
from transforms.analysis.estimate import Estimate, estimate
from transforms.analysis.payload import Question
from transforms.analysis.spend import usd
from transforms.analysis.steps import AnalysisPlan
from transforms.errors import UsageError
from transforms.providers.load import parse_variables
from transforms.records.analysis import PICO
from transforms.records.model import RecordSpec
from transforms.retry import Retry
from transforms.secrets import parse_secret
from transforms.upsert.destination import Destination


def analysis_of(flags: Config, spec: RecordSpec, *, is_one_process: bool) -> AnalysisPlan | None:
    """How a job asks a model; None if it asks none. Calls nobody.

    Args:
      is_one_process: whether one worker does all of the work.

    Raises:
      UsageError: the spec does not say what to ask, or has no price; the provider has no chat; a flag does not fit.
    """
    if flags.analyse is None:
        if flags.estimate or flags.max_spend_usd is not None:
            flag = "estimate" if flags.estimate else "max_spend_usd"
            raise UsageError(f"--{flag} is about a model: name it with --analyse=PROVIDER/MODEL")
        return None
    provider, slash, model = flags.analyse.partition("/")
    if not (provider and slash and model):
        raise UsageError(f"--analyse must be PROVIDER/MODEL, such as openai/gpt-5-mini, got {flags.analyse!r}")
    if spec.analysis is None:
        raise UsageError(
            f"the spec {spec.name} does not say what to ask a model; give it a section analysis:, see docs/analysis.md"
        )
    description = read_provider(provider, flags.provider)
    # Those of a provider of batches are given by the same flag.
    known = {
        name: value for name, value in parse_variables(flags.provider_var).items() if name in description.variables
    }
    secret = parse_secret(flags.analyse_api_key, "--analyse_api_key") if flags.analyse_api_key else None
    chat = description.for_chat(known, url=flags.analyse_url or "")
    return AnalysisPlan(
        Question(spec.analysis, flags.analyse, flags.analyse_url or ""),
        ConnectChat(chat, model, secret, Retry(), flags.analyse_tokens_per_min),
        flags.analyse_concurrency,
        flags.analysis_cache_days,
        flags.analyse_failed,
        _limit(flags, spec, is_one_process=is_one_process),
    )


def results_of_analysis(plan: AnalysisPlan) -> dict[str, Any]:
    """What a summary says of the cost where nobody can count it."""
    if plan.question.model in plan.question.analysis.prices:
        return {}
    return {"analysis_cost": f"unknown: the spec has no price of {plan.question.model}"}


def _limit(flags: Config, spec: RecordSpec, *, is_one_process: bool) -> int | None:
    if flags.max_spend_usd is None:
        return None
    if not is_one_process:
        raise UsageError(
            "--max_spend_usd counts in one worker: leave out --direct_num_workers and --direct_running_mode; on "
            "Dataflow run a part of the input with it on this machine first, or set the limit at the provider"
        )
    assert spec.analysis is not None
    if flags.analyse not in spec.analysis.prices:
        raise UsageError(
            f"--max_spend_usd needs the price of {flags.analyse}: add it to the spec {spec.name}, under "
            "analysis.prices, in USD per million tokens"
        )
    try:
        return int(Decimal(flags.max_spend_usd) * PICO)
    except ArithmeticError:
        raise UsageError(f"--max_spend_usd must be an amount such as 2.50, got {flags.max_spend_usd!r}") from None


def instead_of_run(config: Config, analysis: AnalysisPlan | None, sources: Sources, to: Destination) -> Instead | None:
    """What `--estimate` does in place of a run; None without it.

    Raises:
      UsageError: there is nothing to estimate yet.
    """
    if analysis is None or not config.estimate:
        return None
    if sources.provider is not None:
        raise UsageError(
            "--estimate reads records, and batches at a provider have none yet; name files or a collection"
        )

    def show_estimate(console: Console) -> int:
        client = sources.target.connect()
        cache = AnswerCache(client, config.analysis_cache_days, "", config.retry)
        found = estimate(sources.batches(), to.spec, analysis.question, cache.read)
        show(console, estimate_table(analysis.question.model, found))
        return EXIT_OK

    return show_estimate


def estimate_table(model: str, found: Estimate) -> Table:
    """For people."""
    cost = "unknown: the spec has no price" if found.cost is None else f"{usd(found.cost)} USD"
    rows = (
        ("records", f"{found.records:,}"),
        ("not asked: refused anyway, or nothing to send", f"{found.not_asked:,}"),
        ("different questions", f"{found.questions:,}"),
        ("of these answered already", f"{found.stored:,}"),
        ("input tokens, about", f"{found.input_tokens:,}"),
        ("output tokens, about", f"{found.output_tokens:,}"),
        ("cost, about", cost),
        ("counted", found.counted_by),
    )
    return Table(f"{model}: an estimate; nothing was sent or written", (Column(), Column(is_number=True)), (rows,))
