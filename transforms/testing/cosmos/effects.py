"""Which rule of a script applies to a request, and whether its request units are spent. Plain Python."""

from __future__ import annotations

from collections.abc import Callable

from transforms.testing.cosmos.answers import THROTTLED, RefusedError
from transforms.testing.cosmos.script import ANY, Rule, Script

# Of the units of a second, those that requests of low priority leave to others.
_KEPT_FOR_HIGH = 0.5


class Effects:
    """A script's rules, and how often each was met.

    Args:
      now: seconds, for the budget.
    """

    def __init__(self, script: Script, now: Callable[[], float]):
        self._now, self._since, self._left = now, now(), script.request_units_per_s or 0.0
        self.replace(script)

    def replace(self, script: Script) -> None:
        """Follows another script, of whose rules none was met."""
        self._script = script
        self._met = [0] * len(script.rules)

    def rule(self, operation: str, container: str | None) -> Rule | None:
        """What happens to a request; None answers it."""
        for n, rule in enumerate(self._script.rules):
            if rule.operation in (operation, ANY) and rule.container in (None, container):
                self._met[n] += 1
                due = self._met[n] - rule.skip
                if due > 0 and due % rule.every == 0 and (rule.times is None or due // rule.every <= rule.times):
                    return rule
        return None

    def check_budget(self, is_low_priority: bool) -> None:
        """Raises RefusedError 429 if the units of this second are spent."""
        units = self._script.request_units_per_s
        if units is None:
            return
        now = self._now()
        self._left = min(units, self._left + (now - self._since) * units)
        self._since = now
        floor = units * _KEPT_FOR_HIGH if is_low_priority else 0.0
        if self._left <= floor:
            wait_ms = max(1, round((floor - self._left + 1) / units * 1000))
            raise RefusedError(429, "Request rate is large. More Request Units may be needed.", THROTTLED, wait_ms)

    def spend(self, charge: float) -> None:
        """Takes a request's charge from the budget, which it may overdraw."""
        self._left -= charge
