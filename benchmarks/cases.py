"""One case in this process: `python -m benchmarks.cases NAME JSON`, started by `measure.run_case`.

Prints its Sample as the last line. `CASES` is the table of contents.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence

from benchmarks import (
    analysis_cases,
    batch_cases,
    connector_cases,
    export_cases,
    ingest_cases,
    listen_cases,
    migrate_cases,
    mysql_cases,
    object_cases,
    page_cases,
    peers,
    source_cases,
)
from benchmarks.measure import Sample, as_json

CASES: dict[str, Callable[..., Sample]] = {
    "ingest": ingest_cases.ingest,
    "ingest_write_batch": peers.write_batch_job,
    "ingest_bulk_writer": peers.bulk_writer_job,
    "ingest_bare_loop": peers.bare_loop,
    "write_to_firestore": connector_cases.write_to_firestore,
    "write_nothing": connector_cases.write_nothing,
    "write_bare_loop": connector_cases.write_bare_loop,
    "write_bulk_writer": connector_cases.write_bulk_writer,
    "read_from_firestore": connector_cases.read_from_firestore,
    "read_reader": connector_cases.read_reader,
    "read_stream": connector_cases.read_stream,
    "store_every_type": export_cases.store_every_type,
    "export": export_cases.export,
    "export_by_hand": export_cases.export_by_hand,
    "objects_read": object_cases.read_objects,
    "objects_bare": object_cases.get_objects_bare,
    "batches": batch_cases.batches,
    "analyse": analysis_cases.analyse,
    "openai_calls": analysis_cases.openai_calls,
    "run_inference": analysis_cases.run_inference,
    "listen_known": listen_cases.known,
    "listen_streams": listen_cases.streams,
    "listen_burst": listen_cases.burst,
    "listen_idle": listen_cases.idle,
    "listen_hour": listen_cases.hour,
    "migrate": migrate_cases.migrate,
    "migrate_generated": migrate_cases.migrate_generated,
    "migrate_bare_loop": migrate_cases.bare_loop,
    "migrate_write_batch": migrate_cases.write_batch,
    "source_copy": source_cases.copy_bare,
    "source_rows": source_cases.make_rows,
    "source_export": source_cases.export,
    "source_unchanged": source_cases.export_unchanged,
    "mysql_select": mysql_cases.select_bare,
    "mysql_rows": mysql_cases.make_rows,
    "source_by_hand": source_cases.export_by_hand,
    "page_store": page_cases.store,
    "page_first": page_cases.first,
    "page_later": page_cases.later,
    "page_viewers": page_cases.viewers,
}


def main(arguments: Sequence[str]) -> None:
    """Runs the case that is named."""
    logging.getLogger().setLevel(logging.ERROR)
    name, settings = arguments
    print(as_json(CASES[name](**json.loads(settings))))


if __name__ == "__main__":
    main(sys.argv[1:])
