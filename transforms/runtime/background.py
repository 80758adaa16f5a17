"""What a step does to its elements, one behind: the last element's act runs while the next element is made ready.

    element 1 ──make ready──▶ act ─────────▶ out
    element 2                 ──make ready──▶ act ─────────▶ out           at most one act at a time, in their order

A batch is written only when the service answers, and that takes longer than reading the next batch does; fused steps
would stand still meanwhile. An act begins before the result of the last one goes to the next steps, which may have acts
of their own. A bundle ends when all of its acts have ended, so what a bundle promises stays.

    class _InsertFn(beam.DoFn):
        def setup(self): self._background = Background(insert)
        def start_bundle(self): self._background.forget()
        def process(self, element, windowed=beam.DoFn.WindowedValueParam):
            yield from self._background.next(windowed)
        def finish_bundle(self): yield from self._background.wait()
        def teardown(self): self._background.close()
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from apache_beam.utils.windowed_value import WindowedValue


class Background:
    """Acts on one element after the other in a thread of its own; for one DoFn.

    Args:
      act: of an element's value; gives the value to hand on. What it raises fails the bundle.
    """

    def __init__(self, act: Callable[[Any], Any]):
        self._act = act
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._begun: tuple[WindowedValue, Future[Any]] | None = None

    def wait(self) -> list[WindowedValue]:
        """The element begun last, once its act is done; none if there is none. Raises what the act raised."""
        if self._begun is None:
            return []
        (element, act), self._begun = self._begun, None
        return [element.with_value(act.result())]

    def begin(self, element: WindowedValue) -> Future[Any]:
        """Begins with an element, after `wait`; the act may be waited for."""
        act = self._executor.submit(self._act, element.value)
        self._begun = element, act
        return act

    def next(self, element: WindowedValue) -> Iterator[Any]:
        """Begins with a batch and gives the one before it; itself, too, if the next one may come much later."""
        done = self.wait()
        self.begin(element)
        yield from done
        if element.value.flush:
            yield from self.wait()

    def forget(self) -> None:
        """Waits for what a bundle that failed had begun: its elements come again."""
        if self._begun is not None:
            wait([self._begun[1]])
            self._begun = None

    def close(self) -> None:
        """Ends the thread."""
        self._executor.shutdown()
