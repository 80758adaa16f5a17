"""Random schedules of applications, failing stores, phase changes and the repairing job, on the real protocol.

Three instances write two documents. A request is delayed, a store is down, a write is applied and reported failed, an
instance stands still for a while; the phase changes back and forth; the job's pages go stale. A run ends when all is up
and quiet. Then both stores must be equal, and every acknowledged write is there, or a later write has replaced it that
did not end before it began, or it is named as superseded.
"""

import datetime
import itertools
import random
from dataclasses import dataclass, field

from transforms.dual import repairs
from transforms.dual.memory import MemoryStore
from transforms.dual.protocol import Act, Result, patch, put
from transforms.dual.rules import RULES, View
from transforms.dual.stamps import Stamper
from transforms.dual.stored import COSMOS, FIRESTORE, STORES, Failed, Read, Write, other
from transforms.dual.views import view_of
from transforms.migrate.phases import FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY, State
from transforms.retry import Clock

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
STEP_S = 0.3  # three or four steps are a second, as Cosmos DB counts versions
START_S = 1_000_000.0
KEYS = ("a", "b")
POLL_STEPS, PUT_TIMEOUT_STEPS, REQUEST_STEPS = 20, 60, 8
STATE = State(FIRESTORE_ANALYTICS, None, POLL_STEPS * STEP_S, PUT_TIMEOUT_STEPS * STEP_S)
# After that much nobody applies an older write or page.
OLDER_ENDS_S = 3 * PUT_TIMEOUT_STEPS * STEP_S


@dataclass
class Acknowledged:
    key: str
    stamp: object
    content: object
    began: int
    ended: int


@dataclass
class Instance:
    stamper: Stamper
    state: State = STATE
    read_at: datetime.datetime | None = None
    next_poll: int = 0


@dataclass
class Task:
    steps: object
    key: str
    began: int
    request: object = None
    issued: int = 0
    resumes: int = 0
    answer: object = None


@dataclass
class Feed:
    """The job's place in the change feed of a store."""

    position: int = 0
    pages: list = field(default_factory=list)
    read_to: datetime.datetime = EPOCH


class World:
    def __init__(self, seed, rules=RULES, skew=1, waits=True, delays=(0, 0, 1, 6, 25)):
        self.random, self.rules, self.delays = random.Random(seed), rules, delays
        # What the command goes by: without the waits of R3 it announces nothing and finishes at once.
        self.poll_s, self.timeout_s = (STATE.poll_interval_s, STATE.put_timeout_s) if waits else (0.0, 0.0)
        self.t = 0
        self.stores = {name: MemoryStore(name, self.seconds) for name in STORES}
        self.feeds = {name: Feed() for name in STORES}
        self.state = STATE
        self.instances = [self._instance(at, self.random.randint(-skew, skew)) for at in range(3)]
        self.tasks = []
        self.acknowledged, self.superseded, self.forgotten = [], set(), {}
        self.n_forgotten = self.n_changes = 0
        self.numbers = itertools.count()

    def seconds(self):
        return START_S + self.t * STEP_S

    def now(self):
        return EPOCH + datetime.timedelta(seconds=self.seconds())

    def _instance(self, at, skew):
        return Instance(Stamper(f"i{at}", Clock(now=lambda: self.seconds() + skew * STEP_S), self.rules), next_poll=at)

    # The applications.

    def poll(self, instance):
        instance.next_poll = self.t + POLL_STEPS
        if not self.stores[FIRESTORE].is_down:
            instance.state = State(self.state.phase, self.state.change, STATE.poll_interval_s, STATE.put_timeout_s)
            instance.read_at = self.now()

    def begin(self):
        instance, key = self.random.choice(self.instances), self.random.choice(KEYS)
        view = view_of(instance.state, self.now(), instance.read_at)
        began = self.t
        act = Act(
            instance.stamper.stamp, lambda: (self.t - began) * STEP_S, PUT_TIMEOUT_STEPS * STEP_S, rules=self.rules
        )
        n, kind = next(self.numbers), self.random.random()
        if kind < 0.3:
            steps = put(None, view, act)
        elif kind < 0.9:
            steps = put({"n": n % 2}, view, act)  # the same content is written again and again
        else:
            steps = patch(lambda content: {**content, "p": n % 3}, view, act)
        task = Task(steps, key, began)
        self.tasks.append(task)
        self._resume(task, None)

    def step(self, task):
        if self.t < task.resumes:
            return
        if task.answer is not None:
            answer, task.answer = task.answer, None
            self._resume(task, answer)
            return
        late = self.t - task.issued > REQUEST_STEPS
        task.answer = Failed("deadline") if late else self.served(task.key, task.request)
        # The process is slow, or stands still: the rules have to bound what it does afterwards.
        stands = self.random.random() < 0.03
        task.resumes = self.t + self.random.choice([80, 200, 300] if stands else self.delays)

    def _resume(self, task, answer):
        try:
            task.request = task.steps.send(answer)
        except StopIteration as end:
            if task in self.tasks:
                self.tasks.remove(task)
            self._ended(task, end.value)
            return
        task.issued = self.t
        # A pause before the request is sent, which the rules cannot know of, is bounded by the request's deadline.
        task.resumes = self.t + self.random.choice([0, 0, 0, 1, 6])

    def _ended(self, task, result):
        if isinstance(result, Result) and result.is_accepted:
            self.acknowledged.append(Acknowledged(task.key, result.stamp, result.content, task.began, self.t))

    def served(self, key, request):
        answer = self.stores[request.store].answer(key, request)
        loses = self.random.random()
        if isinstance(request, Write) and loses < 0.05:
            return Failed("applied, but the answer was lost")
        return Failed("not applied") if isinstance(request, Read) and loses < 0.03 else answer

    # The job.

    def is_up(self):
        return not any(store.is_down for store in self.stores.values())

    def job_view(self):
        phase = self.state.phase_at(self.now())
        has_begun = self.state.changes_primary and self.now() >= self.state.change.effective_at
        return View(phase.primary, by_stamp=has_begun)

    def job(self):
        if not self.is_up():
            return
        view = self.job_view()
        for source in STORES if view.by_stamp else (view.primary,):
            self.follow(source, view)
        if self.random.random() < 0.3:
            for key, store in itertools.product(KEYS, STORES):
                self.run(key, repairs.resolve(store, view, self.rules))
        if not any(feed.pages for feed in self.feeds.values()):
            self.forget(view)

    def follow(self, source, view):
        feed = self.feeds[source]
        if feed.pages:
            key, stored = feed.pages[0]
            if self.run(key, repairs.repair(source, stored, view, self.rules)):
                feed.pages.pop(0)
            return
        changed = list(self.stores[source].changed_since(feed.position))[:3]
        if changed:
            feed.position = changed[-1][0]
            feed.pages = [(key, stored) for _, key, stored in changed]
        else:
            feed.read_to = self.now()

    def forget(self, view):
        for key in KEYS:
            held = self.stores[view.primary].answer(key, Read(view.primary)).stored
            before = self.feeds[view.primary].position
            if any(at > before and changed == key for at, changed, _ in self.stores[view.primary].changed_since(0)):
                continue  # the feed has yet to give it
            us = int(self.seconds() * 1_000_000)
            done = self.run(key, repairs.forget(view, us, OLDER_ENDS_S, self.rules))
            if done and done.done == repairs.FORGOTTEN:
                self.forgotten[key] = held.stamp
                self.n_forgotten += 1

    def run(self, key, steps):
        """The outcome of a repair; None if a store failed, so that it has to be done again."""
        answer = None
        while True:
            try:
                request = steps.send(answer)
            except StopIteration as end:
                done = end.value
                break
            answer = self.stores[request.store].answer(key, request)
        if done.superseded is not None:
            self.superseded.add(done.superseded.stamp)
        return None if done.failed else done

    # The phases.

    def change_phase(self):
        if self.state.change is None and self.is_up():
            # The two phases of Cosmos DB as the primary are alike to the protocol: the second one stands for both.
            is_back = self.state.phase == FIRESTORE_PRIMARY
            before = State(FIRESTORE_PRIMARY if is_back else FIRESTORE_ANALYTICS, None, self.poll_s, self.timeout_s)
            self.state = before.announce(FIRESTORE_ANALYTICS if is_back else FIRESTORE_PRIMARY, self.now())
            self.n_changes += 1

    def finish_phase(self):
        if self.state.change is not None and self.is_up():
            old = other(self.state.phase_at(self.now()).primary)
            drained = self.feeds[old].read_to if not self.feeds[old].pages else EPOCH
            if self.state.may_finish(self.now(), drained):
                self.state = self.state.finished()

    def settle(self):
        for store in self.stores.values():
            store.is_down = False
        while self.tasks:
            self.t += 1
            for task in list(self.tasks):
                self.step(task)
        for _ in range(2_000):
            if self.state.change is None:
                break
            self.tick_quietly()
        for _ in range(60):
            self.tick_quietly()
        self.t += int(OLDER_ENDS_S / STEP_S)
        for _ in range(60):
            self.tick_quietly()
        return self.state.change is None

    def tick_quietly(self):
        self.t += 1
        self.job()
        self.finish_phase()


def run(seed, **rules):
    """The world after a schedule, and what is wrong with it: `differ`, `lost`, `pending`, `never ends`."""
    world = World(seed, **rules)
    choose = world.random
    for _ in range(600):
        world.t += 1
        for instance in world.instances:
            if world.t >= instance.next_poll:
                world.poll(instance)
        kind = choose.random()
        if kind < 0.10 and len(world.tasks) < 4:
            world.begin()
        elif kind < 0.9:
            for task in choose.sample(world.tasks, min(2, len(world.tasks))):
                world.step(task)
            if kind > 0.6:
                world.job()
        elif kind < 0.93:
            store = world.stores[choose.choice(STORES)]
            store.is_down = not store.is_down
        elif kind < 0.94:
            world.change_phase()
        world.finish_phase()
    wrong = set() if world.settle() else {"never ends"}
    for key in KEYS:
        wrong |= _wrong(world, key)
    return world, wrong


def _wrong(world, key):
    held = [dict(world.stores[name].documents()).get(key) for name in (COSMOS, FIRESTORE)]
    contents = [None if each is None else (each.content, each.stamp) for each in held]
    found = set()
    if contents[0] != contents[1]:
        found.add("differ")
    if any(each is not None and each.is_pending for each in held):
        found.add("pending")
    acknowledged = [each for each in world.acknowledged if each.key == key]
    final = held[0].stamp if held[0] is not None else world.forgotten.get(key)
    kept = [each for each in acknowledged if each.stamp == final]
    if acknowledged and final is None:
        found.add("lost")
    if kept and any(each.began > kept[0].ended and each.stamp not in world.superseded for each in acknowledged):
        found.add("lost")
    return found
