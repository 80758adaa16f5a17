"""Turns: nobody waits for ever, whoever is cancelled, and whoever came first goes first."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.simulated import Simulation
from transforms.analysis.turns import Turns


@settings(max_examples=100, deadline=None)
@given(
    room=st.integers(1, 4),
    per_s=st.floats(0.5, 10),
    steps=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.one_of(st.none(), st.floats(0, 4))), max_size=30),
)
def test_everybody_who_is_not_cancelled_goes_and_all_room_is_given_back(room, per_s, steps):
    sim, went = Simulation(), []
    state = {"under_way": 0, "next": 0.0, "admitted": 0}

    def admit(wants):
        state["under_way"] += 1
        state["admitted"] += 1
        state["next"] = max(state["next"], sim.now) + 1 / per_s
        assert state["under_way"] <= room

    def leave(wants):
        state["under_way"] -= 1

    turns = Turns(sim.clock, lambda: state["under_way"] >= room, lambda wants: state["next"], admit, leave)

    async def one(place, begins, lasts):
        await sim.asleep(begins)
        await turns.enter(place, "x")
        went.append(place)
        try:
            await sim.asleep(lasts)
        finally:
            leave("x")
            turns.somebody_left()

    async def cancelled_after(task, seconds):
        await sim.asleep(seconds)
        task.cancel()

    async def scenario():
        tasks, cancelling = [], []
        for place, (begins, lasts, cancel_after) in enumerate(steps):
            tasks.append(asyncio.create_task(one(place, begins, lasts)))
            if cancel_after is not None:
                cancelling.append(asyncio.create_task(cancelled_after(tasks[-1], cancel_after)))
        await asyncio.gather(*tasks, *cancelling, return_exceptions=True)

    sim.run(scenario())
    patient = {place for place, (_, _, cancel_after) in enumerate(steps) if cancel_after is None}
    assert patient <= {*went}
    assert state["under_way"] == 0


def test_whoever_comes_again_goes_before_those_who_came_after_it():
    sim, went = Simulation(), []
    opens_at = {"time": sim.now + 5}
    turns = Turns(sim.clock, lambda: False, lambda wants: opens_at["time"], went.append, lambda wants: None)

    async def one(place, begins):
        await sim.asleep(begins)
        await turns.enter(place, place)

    sim.run(one(3, 0), one(2, 1), one(1, 2), one(4, 3))
    assert went == [1, 2, 3, 4]
    assert turns.waited_s() == 5
