"""What an object store refuses is one line that says what to fix; what it cannot answer just now is asked again."""

import contextlib
import json
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.azurite import ACCOUNT, connection_string
from tests.support.clocks import no_waiting
from tests.support.moto import running_s3
from tests.support.objects import Bucket, Container
from transforms.errors import JobError, TransientError
from transforms.objects.azure import CONNECTION_STRING, AzureStore
from transforms.objects.s3 import S3Store
from transforms.objects.store import store_of
from transforms.retry import Retry

ONCE = Retry(max_attempts=1)


@pytest.fixture(scope="module")
def strict_s3() -> Iterator[str]:
    """An S3 server of its own, which can be told to check credentials."""
    with running_s3() as url:
        yield url


@contextlib.contextmanager
def checking(url: str) -> Iterator[None]:
    """Within it the server checks who asks."""
    for unchecked in (b"0", b"1000000"):
        as_text = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset-auth", unchecked, as_text)).close()
        if unchecked == b"0":
            yield


def test_wrong_credentials_and_a_missing_right_are_told_apart(
    strict_s3: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", strict_s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", strict_s3)
    own = Bucket(strict_s3)
    path = own.put("a.jsonl", b"{}")
    people = boto3.session.Session().client("iam")
    people.create_user(UserName="ada")
    key = people.create_access_key(UserName="ada")["AccessKey"]
    with checking(strict_s3):
        for ask in (lambda store: store.stat(path), lambda store: list(store.list(own.path))):
            with pytest.raises(JobError, match=r"S3 refuses the credentials.*InvalidAccessKeyId.*AWS_PROFILE"):
                ask(S3Store.connected(ONCE))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        with pytest.raises(JobError, match=f"lack s3:ListBucket on bucket {own.name}"):
            list(S3Store.connected(ONCE).list(own.path))
        with pytest.raises(JobError, match=f"lack s3:GetObject on bucket {own.name}"):
            S3Store.connected(ONCE).stat(path)
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        with_all_rights = json.dumps(policy)
    people.put_user_policy(UserName="ada", PolicyName="all", PolicyDocument=with_all_rights)
    with checking(strict_s3):
        assert S3Store.connected(ONCE).stat(path) is not None


def test_without_credentials_it_is_said_how_to_give_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(JobError, match=r"there are no AWS credentials; set AWS_ACCESS_KEY_ID"):
        S3Store.connected(ONCE).stat("s3://bucket/a.jsonl")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(JobError, match=r"S3 cannot be reached: .*nobody.*; set AWS_ACCESS_KEY_ID"):
        S3Store.connected(ONCE)


def test_a_server_that_is_not_there_is_asked_again_and_then_named(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match="after 3 attempts: Could not connect"):
        S3Store.connected(Retry(3, clock=no_waiting())).stat("s3://bucket/a.jsonl")
    monkeypatch.setenv(CONNECTION_STRING, connection_string(9))
    with pytest.raises(TransientError, match="after 3 attempts"):
        AzureStore.connected(ACCOUNT, Retry(3, clock=no_waiting())).stat(f"azfs://{ACCOUNT}/container/a.jsonl")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://*/a.jsonl", "s3://*/a.jsonl names no bucket; S3 is named as s3://BUCKET/KEY"),
        ("s3:///a.jsonl", "names no bucket"),
        (f"azfs://{ACCOUNT}", "names no container; a blob is named as azfs://ACCOUNT/CONTAINER/BLOB"),
        ("azfs://Not_One/container/a.jsonl", "azfs://Not_One names no storage account"),
    ],
)
def test_half_a_location_is_said_in_full(container: Container, bucket: Bucket, path: str, message: str) -> None:
    with pytest.raises(JobError) as refused:
        store_of(path).stat(path)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "path", ["s3://AKIA:hush@bucket/a.jsonl", f"azfs://{ACCOUNT}/c/a?sv=1&sig=hush", "azfs://a:hush@b/c/a"]
)
def test_a_location_with_a_secret_is_refused_and_not_shown(path: str) -> None:
    with pytest.raises(JobError, match="must not hold a key or a signature") as refused:
        store_of(path)
    assert "hush" not in str(refused.value)


def test_a_name_that_no_bucket_has_is_refused_before_it_is_asked_for(bucket: Bucket) -> None:
    with pytest.raises(JobError, match=r"s3://B@D/a.jsonl is not a name that S3 knows"):
        S3Store.connected(ONCE).stat("s3://B@D/a.jsonl")


def test_another_account_than_that_of_the_credentials_is_not_read(container: Container) -> None:
    with pytest.raises(JobError, match=f"azfs://elsewhere/… is of another account than .*, which is of {ACCOUNT}"):
        AzureStore.connected("elsewhere")


def test_a_wrong_key_of_an_account_is_one_line(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(container.client.url.split(":")[2].partition("/")[0])
    monkeypatch.setenv(CONNECTION_STRING, connection_string(port, "bm90IHRoZSBrZXk="))
    store = AzureStore.connected(ACCOUNT, ONCE)
    for ask in (lambda: store.stat(f"{container.path}/a.jsonl"), lambda: list(store.list(container.path))):
        with pytest.raises(JobError) as refused:
            ask()
        assert str(refused.value).startswith(container.path)
        assert "may not be read" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_connection_string_that_is_none_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONNECTION_STRING, "AccountKey=hunter2")
    with pytest.raises(JobError) as refused:
        AzureStore.connected(ACCOUNT)
    assert "hunter2" not in str(refused.value)
    assert "is not a connection string" in str(refused.value)


@pytest.mark.parametrize(
    ("package", "path", "extra"),
    [("boto3", "s3://bucket/a", "firebeam[s3]"), ("azure.storage.blob", "azfs://account1/c/a", "firebeam[azure]")],
)
def test_a_missing_client_names_its_extra(package: str, path: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    connect = S3Store.connected if package == "boto3" else lambda: AzureStore.connected("account1")
    with pytest.raises(JobError) as refused:
        connect()
    assert f"pip install '{extra}'" in str(refused.value)
