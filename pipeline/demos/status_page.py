"""The end of the demo: the status page of what it did.

a person at a terminal    the page is served until Enter
nobody                    the page of the last job is written to a file
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.present.terminal import Console, say
from transforms.firestore.target import FirestoreTarget

_HOST = "127.0.0.1"
_REFRESH_S = 2.0


def show_page(database: FirestoreTarget, console: Console, wait: Callable[[], object] | None = None) -> None:
    """Shows what the ledger says of the demo.

    Args:
      wait: returns when nobody looks any more; default: on Enter, where there is somebody who can press it.
    """
    say(console)
    say(console, "The status page of all this, as firebeam serve shows it:", "bold")
    if wait is None and console.is_terminal and sys.stdin.isatty():
        wait = sys.stdin.readline
    if wait is None:
        say(console, f"  {_write(database)}")
        return
    from pipeline.run.status_server import url_of
    from pipeline.serve.app import Pages
    from pipeline.serve.server import serving_aside, topics_of  # import aiohttp, which a file does without

    with serving_aside(lambda: Pages(topics_of(database.connect(), _REFRESH_S, show_ids=False), _HOST)) as port:
        say(console, f"  {url_of(_HOST, port)}")
        say(console, "Enter ends the demo and the emulators")
        with contextlib.suppress(KeyboardInterrupt):
            wait()


def _write(database: FirestoreTarget) -> Path:
    """Writes the page of the job that was started last."""
    from pipeline.present.page.document import job_document as page_document
    from pipeline.present.page.render import file, render_job
    from pipeline.serve.reading import JobReader
    from transforms.ledger.jobs import job_document, recent_jobs

    client = database.connect()
    (job,) = recent_jobs(client, 1).jobs
    page = page_document(JobReader(job_document(client, job.job_id)).read(), show_ids=False)
    path = Path(tempfile.mkdtemp(prefix="firebeam-page-"), f"{job.job_id}.html")
    path.write_text(file(render_job(page)), encoding="utf-8")
    return path
