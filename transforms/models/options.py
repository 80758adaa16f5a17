"""How a model's answer becomes records, as far as it can be chosen."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.errors import UsageError

SAFE, AGGRESSIVE = "safe", "aggressive"
REPAIRS = (SAFE, AGGRESSIVE)

CUSTOM_ID, RECORD = "custom_id", "record"
KEYS = (CUSTOM_ID, RECORD)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """What can be chosen.

    Attributes:
      repair: safe, for repairs that leave no doubt; aggressive, for those of the `json-repair` library as well.
      key: custom_id, if the request's id comes before the one in the answer; record, if it is the other way round.
      records_path: names that lead to an answer's records, where it has them.
    """

    repair: str = SAFE
    key: str = CUSTOM_ID
    records_path: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, allowed in (("repair", REPAIRS), ("key", KEYS)):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")


DEFAULT = AnswerOptions()
