"""Scripts for PartitionQuery, whose answers a test of reading chooses."""

from __future__ import annotations

from typing import Any

from transforms.firestore import messages
from transforms.firestore.target import FirestoreTarget
from transforms.testing import PROJECT, Effect, Script, always, answer, status

# As a database without partitions answers, such as the emulator.
NO_PARTITIONS: Script = always(status("UNIMPLEMENTED", "PartitionQuery is not supported"))


def partitioned(*pages: list[str]) -> Script:
    """Answers with these pages of paths, in any order, one after the other."""

    def script(request: Any, ordinal: int) -> Effect:
        page = int(request.page_token or 0)
        response = messages.PartitionQueryResponse()
        for path in pages[page] if pages else ():
            response.partitions.add().values.add(reference_value=FirestoreTarget(PROJECT).document_name(path))
        if page + 1 < len(pages):
            response.next_page_token = str(page + 1)
        return answer(response)

    return script
