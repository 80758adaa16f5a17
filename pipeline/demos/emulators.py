"""The emulators that demos run on, and the project on them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial

from pipeline.emulators.start import BigQueryEmulator, EmulatorMissingError, bigquery_emulator, firestore_emulator
from pipeline.present.terminal import Console, say

PROJECT = "demo-firebeam"


@contextlib.contextmanager
def emulators(console: Console, *, can_do_without_bigquery: bool) -> Iterator[BigQueryEmulator | None]:
    """Runs both emulators and names them in the environment; yields None where BigQuery's cannot run here.

    Raises:
      EmulatorMissingError: one that is needed cannot run here; the message says what to do.
    """
    with contextlib.ExitStack() as running:
        with console.status("starting the Firestore emulator …"):
            os.environ["FIRESTORE_EMULATOR_HOST"] = running.enter_context(firestore_emulator())
        say(console, f"Firestore emulator: {os.environ['FIRESTORE_EMULATOR_HOST']}")
        bigquery: BigQueryEmulator | None = None
        try:
            with console.status("starting the BigQuery emulator …"):
                bigquery = running.enter_context(bigquery_emulator(PROJECT, say=partial(say, console)))
        except EmulatorMissingError as missing:
            if not can_do_without_bigquery:
                raise
            say(console, f"continuing without BigQuery: {missing}", "yellow")
        if bigquery:
            os.environ["BIGQUERY_EMULATOR_HOST"] = bigquery.rest
            say(console, f"BigQuery emulator:  {bigquery.rest}")
        yield bigquery
