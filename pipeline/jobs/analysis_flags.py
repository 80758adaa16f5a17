"""How ingest asks a model about each record: its flags."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.run.flags import option
from transforms.analysis.modes import DEAD_LETTER, STORE

_GROUP = "Analysis"


@dataclass(frozen=True, kw_only=True)
class AnalysisFlags:
    """The flags of analysis."""

    analyse: str | None = option(
        None,
        group=_GROUP,
        metavar="PROVIDER/MODEL",
        help="ask this model about each record, as the analysis: section of the spec says: openai/MODEL, "
        "anthropic/MODEL, gemini/MODEL, vertex/MODEL, or a provider whose description has chat:",
        pattern=r"[\w-]+/\S+",
    )
    analyse_url: str | None = option(
        None,
        group=_GROUP,
        metavar="URL",
        help="a server that speaks the provider's API in its place, such as http://localhost:8000/v1",
    )
    analyse_api_key: str | None = option(
        None,
        group=_GROUP,
        metavar="env:NAME",
        help="where the key for it is, as --api_key says; default: the variable that the description names",
    )
    analyse_concurrency: int = option(
        16, group=_GROUP, minimum=1, maximum=1_000, help="maximum calls at once, per worker process"
    )
    analyse_tokens_per_min: int | None = option(
        None, group=_GROUP, minimum=1, help="maximum tokens per minute; default: as the provider's headers say"
    )
    max_spend_usd: str | None = option(
        None,
        group=_GROUP,
        metavar="USD",
        help="stop before the model has cost more than this; needs prices: in the spec, and one process",
        pattern=r"[0-9]+([.][0-9]+)?",
    )
    analysis_cache_days: int = option(
        90, group=_GROUP, minimum=0, maximum=3_650, help="how long stored answers are used; 0 stores and uses none"
    )
    estimate: bool = option(
        False,
        group=_GROUP,
        help="show how many records, stored answers and tokens there are and what they cost; send and write nothing",
        in_templates=False,
    )
    analyse_failed: str = option(
        DEAD_LETTER,
        group=_GROUP,
        choices=(DEAD_LETTER, STORE),
        help="what becomes of a record without an answer: a dead letter, or it is stored with FIELD_failed in place of "
        "the answer, and asked about again by the next run",
    )
