"""A write of the application into both stores, as requests one after the other. Pure: whoever drives it sends them.

    look ──▶ stamp ──▶ primary ──accepted──▶ other store, as a copy of this version, if it is not newer already
                          │
                          ├──superseded────▶ end: a later write is there
                          └──failed────────▶ other store, marked pending: the job carries it over

What a store holds is looked at before it is overwritten, and the write is refused if it has changed since, with one
exception: while versions decide, a write to Cosmos DB as the primary overwrites whatever is there, which saves a read.

    steps = put(content, view, act)
    request = next(steps)
    while True:
        request = steps.send(answer(request))      # StopIteration has the outcome
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from transforms.dual.rules import RULES, Rules, View
from transforms.dual.stored import (
    FIRESTORE,
    STORES,
    Answer,
    Content,
    Draft,
    Failed,
    Found,
    Read,
    Request,
    Version,
    Write,
    Written,
)
from transforms.migrate.documents import Stamp

T = TypeVar("T")
Steps: TypeAlias = Generator[Request, Answer, T]

# Others may write the same document meanwhile; each time it is read again and decided again.
MAX_ROUNDS = 5
_CONTENTION = Failed("others changed the document all the time")
_PRESUMED_ABSENT = Found(None)
_TOO_LATE = Failed("not sent: the write took longer than its time-out")

WRITTEN, SUPERSEDED, FAILED, REFUSED = "written", "superseded", "failed", "refused"


class Outcome(NamedTuple):
    """What became of a write in one store.

    Attributes:
      state: `written`; `superseded`: a later write is there already; `failed`; `refused`: for what the document holds.
      reason: of a failure, without payload.
    """

    state: str
    reason: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the store has the write or a later one."""
        return self.state in (WRITTEN, SUPERSEDED)


@dataclass(frozen=True)
class Result:
    """What became of a write.

    Attributes:
      outcomes: of each store that was to be written, the primary first.
      stamp: of the write.
      is_pending: whether one store alone has it, and the job has to carry it over.
      content: what was written; None for a delete.
    """

    outcomes: dict[str, Outcome]
    stamp: Stamp
    is_pending: bool = False
    content: Content | None = field(default=None, repr=False)

    @property
    def is_accepted(self) -> bool:
        """Whether at least one store has it."""
        return any(outcome.is_accepted for outcome in self.outcomes.values())


@dataclass(frozen=True)
class Act:
    """What a write needs to know beside what it writes.

    Attributes:
      stamp: makes the stamp of a write, later than those given.
      age_s: seconds since the write began.
      timeout_s: how old a write may be that is still sent.
      rules: what decides.
    """

    stamp: Callable[[Iterable[Stamp]], Stamp]
    age_s: Callable[[], float]
    timeout_s: float
    rules: Rules = RULES

    def is_in_time(self) -> bool:
        """Whether a request may still be sent."""
        return self.rules.is_in_time(self.age_s(), self.timeout_s)


class _Accepted(NamedTuple):
    """A write that a store accepted; as None: a later one is there."""

    version: Version | None


def put(content: Content | None, view: View, act: Act) -> Steps[Result]:
    """Writes a document, or with None the tombstone of one.

    Returns:
      What became of it; nothing is raised, also where no store accepted it.
    """
    seen = yield from _look(view)
    stamp = act.stamp([found.stored.stamp for found in seen.values() if found.stored is not None])
    draft = Draft(content, stamp)
    first = yield from _write_primary(draft, view, seen, act)
    return (yield from _finish(draft, first, view, seen, act))


def patch(change: Callable[[Content], Content], view: View, act: Act) -> Steps[Result | None]:
    """Reads a document, changes it, and writes it if nobody has changed it meanwhile; else reads again.

    If the primary does not answer, what the other store has is changed, and the write is pending.

    Returns:
      What became of it; None if there is no such document.
    """
    outcomes: dict[str, Outcome] = {}
    for store in (view.primary, view.secondary):
        if store is None:
            continue
        result = yield from _patch_in(store, change, view, act, outcomes)
        if not isinstance(result, Failed):
            return result
        outcomes[store] = _outcome(result)
        if result.refused:
            break
    return Result(outcomes, act.stamp(()))


def _patch_in(
    store: str, change: Callable[[Content], Content], view: View, act: Act, outcomes: dict[str, Outcome]
) -> Steps[Result | Failed | None]:
    is_second = store != view.primary
    for _ in range(MAX_ROUNDS):
        answer = yield Read(store, needs_content=True)
        if not isinstance(answer, Found):
            return answer if isinstance(answer, Failed) else _CONTENTION
        found = answer.stored
        if found is None or found.content is None:
            return None
        seen = yield from _look(view, {store: answer})
        stamp = act.stamp([each.stored.stamp for each in seen.values() if each.stored is not None])
        draft = Draft(change(found.content), stamp)
        if not act.is_in_time():
            return _TOO_LATE
        is_alone = is_second or view.marks_alone
        answer = yield Write(store, act.rules.alone(draft, found) if is_alone else draft, found)
        if isinstance(answer, Failed):
            return answer
        if isinstance(answer, Written):
            if is_second:
                return Result({**outcomes, store: Outcome(WRITTEN)}, stamp, True, draft.content)
            return (yield from _finish(draft, _Accepted(answer.version), view, seen, act))
    return _CONTENTION


def _look(view: View, seen: dict[str, Found] | None = None) -> Steps[dict[str, Found]]:
    """What the stores hold; a store that does not answer is left out.

    In a steady phase Firestore alone is asked, which also says what the version of a copy is.
    """
    seen = dict(seen or {})
    written = [store for store in (view.primary, view.secondary) if store is not None]
    for store in STORES if view.by_stamp else (FIRESTORE,):
        if store in written and store not in seen:
            answer = yield Read(store)
            if isinstance(answer, Found):
                seen[store] = answer
    return seen


def _write_primary(draft: Draft, view: View, seen: dict[str, Found], act: Act) -> Steps[_Accepted | Failed]:
    store = view.primary
    is_guarded = view.by_stamp or store == FIRESTORE
    for _ in range(MAX_ROUNDS):
        if is_guarded and store not in seen:
            answer = yield Read(store)
            if not isinstance(answer, Found):
                return answer if isinstance(answer, Failed) else _CONTENTION
            seen[store] = answer
        found = seen[store].stored if store in seen else None
        if found is not None and found.stamp == draft.stamp:
            return _Accepted(found.version)  # an earlier attempt was applied, its answer was lost
        if not act.rules.may_replace(draft.stamp, found, view):
            return _Accepted(None)
        if not act.is_in_time():
            return _TOO_LATE
        written = act.rules.alone(draft, found) if view.marks_alone else draft
        answer = yield Write(store, written, found, is_guarded)
        if isinstance(answer, Written):
            return _Accepted(answer.version)
        if isinstance(answer, Failed):
            return answer
        seen.pop(store, None)
    return _CONTENTION


def _finish(draft: Draft, first: _Accepted | Failed, view: View, seen: dict[str, Found], act: Act) -> Steps[Result]:
    """The second write, after the first."""
    outcomes = {view.primary: _outcome(first)}
    secondary = view.secondary
    if isinstance(first, _Accepted) and first.version is None:
        if secondary is not None:
            outcomes[secondary] = Outcome(SUPERSEDED)
        return Result(outcomes, draft.stamp, content=draft.content)
    if isinstance(first, Failed) and first.refused:
        return Result(outcomes, draft.stamp, content=draft.content)
    is_pending = False
    if secondary is not None:
        version = first.version if isinstance(first, _Accepted) else None
        second = yield from _write_secondary(secondary, draft, version, view, seen, act)
        outcomes[secondary] = _outcome(second)
        is_alone = isinstance(first, Failed) or (view.marks_alone and isinstance(second, Failed))
        is_pending = is_alone and (
            isinstance(first, _Accepted) or (isinstance(second, _Accepted) and bool(second.version))
        )
    elif view.marks_alone:
        is_pending = True
    return Result(outcomes, draft.stamp, is_pending, draft.content)


def _write_secondary(
    store: str, draft: Draft, version: Version | None, view: View, seen: dict[str, Found], act: Act
) -> Steps[_Accepted | Failed]:
    """Writes the other store.

    Args:
      version: that the primary gave the write; None if it did not accept it.
    """
    rules = act.rules
    in_primary = seen.get(view.primary)
    if store not in seen and in_primary is not None and in_primary.stored is None:
        seen[store] = _PRESUMED_ABSENT  # as it is new in the primary; if it is there, the write is refused
    for _ in range(MAX_ROUNDS):
        if not act.is_in_time():
            return _TOO_LATE
        if store not in seen:
            answer = yield Read(store)
            if not isinstance(answer, Found):
                return answer if isinstance(answer, Failed) else _CONTENTION
            seen[store] = answer
        found = seen[store].stored
        if found is not None and found.stamp == draft.stamp:
            return _Accepted(found.version)  # an earlier attempt was applied, or the job was faster
        if version is None:
            is_due = rules.may_stand_alone(draft.stamp, found)
            written = rules.alone(draft, found)
        else:
            may_follow = rules.may_follow(draft.stamp, version, found, view)
            if may_follow is None:
                may_follow = yield from _is_newest(view.primary, version)
            is_due = may_follow
            written = Draft(draft.content, draft.stamp, version)
        if not is_due:
            return _Accepted(None)
        if not act.is_in_time():
            return _TOO_LATE
        answer = yield Write(store, written, found, rules.is_guarded(found))
        if isinstance(answer, Written):
            return _Accepted(answer.version)
        if isinstance(answer, Failed):
            return answer
        seen.pop(store)
    return _CONTENTION


def _is_newest(store: str, version: Version) -> Steps[bool]:
    """Whether a version is still the one that a store has. If it does not answer, the job has to decide."""
    answer = yield Read(store)
    return isinstance(answer, Found) and answer.stored is not None and answer.stored.version == version


def _outcome(step: _Accepted | Failed) -> Outcome:
    if isinstance(step, Failed):
        return Outcome(REFUSED if step.refused else FAILED, step.refused or step.reason)
    return Outcome(WRITTEN if step.version is not None else SUPERSEDED)
