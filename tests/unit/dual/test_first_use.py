"""A store that is made when it is first asked."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from transforms.dual.first_use import OnFirstUse
from transforms.dual.memory import MemoryStore
from transforms.dual.stored import COSMOS, Found, Read


def test_threads_that_ask_at_once_get_one_store():
    made, both = [], threading.Barrier(2)

    def make():
        # A second thread would be here as well, if it may.
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.2)
        made.append(MemoryStore(COSMOS))
        return made[-1]

    store = OnFirstUse(make)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(store.answer, "a", Read(COSMOS), 1) for _ in range(2)]
        assert [answer.result() for answer in answers] == [Found(None)] * 2
    assert [each.n_requests for each in made] == [2]
