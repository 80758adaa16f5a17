"""Jobs that read files of S3 and Azure Blob, on real servers."""

import json
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests.support.ingest import ingest, profile
from tests.support.objects import Bucket, Container
from tests.support.verified import verify
from transforms.firestore.target import FirestoreTarget

pytestmark = pytest.mark.emulator


def lines(*numbers: int) -> bytes:
    return b"".join(json.dumps(profile(n)).encode() + b"\n" for n in numbers)


def test_ingest_and_verify_read_both_as_they_read_local_files(
    bucket: Bucket, container: Container, target: FirestoreTarget, tmp_path: Path
) -> None:
    bucket.put("people/1.jsonl", lines(*range(10)))
    container.put("people/2.jsonl", lines(*range(10, 20)))
    inputs = (f"--input={bucket.path}/people/*.jsonl", f"--input={container.path}/people/*.jsonl")
    first = ingest(tmp_path, target, *inputs)
    assert (first.exit_code, len(first.full), first.summary["written"]) == (0, 20, 20)
    again = ingest(tmp_path, target, *inputs)
    assert (again.exit_code, again.summary["unchanged"]) == (0, 20)
    local = tmp_path / "all.jsonl"
    local.write_bytes(lines(*range(20)))
    compared = verify(
        tmp_path, target, f"jsonl:{local}", f"jsonl:{bucket.path}/people/*.jsonl", "--id_field=candidate_id"
    )
    assert (compared.exit_code, compared.summary["equal"], len(compared.differences)) == (3, 10, 10)


def test_preview_reads_them(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    path = bucket.put("people.jsonl", lines(1))
    assert main(["preview", f"--input={path}", "--spec=profiles"]) == 0
    assert "1 record" in capsys.readouterr().out


def test_what_is_wrong_is_one_line(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", "--input=s3://nowhere/a.jsonl", "--spec=profiles"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no bucket nowhere" in line
