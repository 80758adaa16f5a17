"""Objects of S3, and of stores that speak its protocol.

credentials, region    as boto3 finds them: AWS_ACCESS_KEY_ID …, AWS_PROFILE, ~/.aws, the role of the machine
AWS_ENDPOINT_URL_S3    another store than Amazon's
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from transforms.errors import FirebeamError, JobError, TransientError
from transforms.objects.store import S3, FileStat, changed
from transforms.retry import Retry

T = TypeVar("T")

INSTALL = "pip install 'firebeam[s3]'"
_CONNECT_S, _READ_S = 10, 60
_CONNECTIONS = 32  # as many threads as a worker may read with

# Codes of answers: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound"})
_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "401"}
)
_TRANSIENT = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling"})
_SIGN_IN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"


class S3Store:
    """The objects that one client can reach; as `ObjectStore`.

    Args:
      client: of boto3; it does not retry by itself.
      retry: of every request.
      page_size: objects in one answer of a listing; S3 gives 1,000 at most.
    """

    def __init__(self, client: Any, retry: Retry, page_size: int):
        self._client, self._retry, self._page_size = client, retry, page_size

    @classmethod
    def connected(cls, retry: Retry = Retry(), page_size: int = 1_000) -> S3Store:  # noqa: B008  # frozen
        """With the credentials of the environment; asks for nothing yet. Raises JobError as `store_of`."""
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError:
            raise JobError(f"s3:// needs a client that is not installed: {INSTALL}") from None
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            max_pool_connections=_CONNECTIONS,
            # Stores that only speak the protocol know nothing of Amazon's newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            return cls(boto3.session.Session().client("s3", config=config), retry, page_size)
        except (BotoCoreError, ValueError) as error:  # a profile or an endpoint that is not one
            raise JobError(f"S3 cannot be reached: {_one_line(error)}; {_SIGN_IN}") from None

    def list(self, prefix: str, /) -> Iterator[FileStat]:
        """As `ObjectStore.list`."""
        bucket, key = _split(prefix)
        what = {"Bucket": bucket, "Prefix": key, "MaxKeys": self._page_size}
        while True:
            page = self._send(prefix, "s3:ListBucket", self._client.list_objects_v2, **what)
            for found in page.get("Contents", ()):
                yield _stat(f"{S3}{bucket}/{found['Key']}", found["Size"], found)
            if not page.get("IsTruncated"):
                return
            what["ContinuationToken"] = page["NextContinuationToken"]

    def stat(self, path: str, /) -> FileStat | None:
        """As `ObjectStore.stat`."""
        bucket, key = _split(path)
        if not key:
            return None
        head = self._send(path, "s3:GetObject", self._head, Bucket=bucket, Key=key)
        return None if head is None else _stat(path, head["ContentLength"], head)

    def read(self, found: FileStat, start: int, stop: int, /) -> bytes:
        """As `ObjectStore.read`."""
        bucket, key = _split(found.path)
        return self._send(
            found.path,
            "s3:GetObject",
            self._body,
            Bucket=bucket,
            Key=key,
            Range=f"bytes={start}-{stop - 1}",
            IfMatch=f'"{found.etag}"',
        )

    def _head(self, **what: Any) -> Mapping[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            found: Mapping[str, Any] = self._client.head_object(**what)
        except ClientError as error:
            code = _code(error)
            if code in _NOT_THERE:
                return None
            if code != "403":
                raise
            # An answer to HEAD has no body, which alone says whether credentials or a permission are at fault.
            self._client.get_object(**what, Range="bytes=0-0")["Body"].close()
            raise
        return found

    def _body(self, **what: Any) -> bytes:
        with self._client.get_object(**what)["Body"] as body:
            content: bytes = body.read()
            return content

    def _send(self, path: str, right: str, request: Callable[..., T], **what: Any) -> T:
        from botocore.exceptions import BotoCoreError, ClientError

        return self._retry.call(
            lambda: request(**what),
            catch=(BotoCoreError, ClientError),
            meaning=lambda error, attempts: _meaning(error, path, right, attempts),
        )


def _split(path: str) -> tuple[str, str]:
    """
    >>> _split("s3://bucket/a/b.jsonl"), _split("s3://bucket")
    (('bucket', 'a/b.jsonl'), ('bucket', ''))
    """
    bucket, _, key = path.removeprefix(S3).partition("/")
    if not bucket or set("*?[") & set(bucket):
        raise JobError(f"{path} names no bucket; S3 is named as s3://BUCKET/KEY, with globs in the key alone")
    return bucket, key


def _stat(path: str, size: int, answer: Mapping[str, Any]) -> FileStat:
    return FileStat(path, size, answer["LastModified"].timestamp(), answer["ETag"].strip('"'))


def _code(error: Exception) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _meaning(error: Exception, path: str, right: str, attempts: int) -> FirebeamError:
    """What a failed request means, given the right that it needs."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _answered(error, path, right, attempts)
    if isinstance(error, exceptions.NoCredentialsError):
        return JobError(f"{path} cannot be read: there are no AWS credentials; {_SIGN_IN}")
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError | exceptions.IncompleteReadError):
        return TransientError(f"{path} cannot be read after {attempts} attempts: {_one_line(error)}")
    if isinstance(error, exceptions.ParamValidationError):
        return JobError(f"{path} is not a name that S3 knows: {_one_line(error)}")
    return JobError(f"{path} cannot be read: {_one_line(error)}; {_SIGN_IN}")


def _answered(error: Any, path: str, right: str, attempts: int) -> FirebeamError:
    bucket, _ = _split(path)
    code, status = _code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{code}: {_one_line(Exception(error.response.get('Error', {}).get('Message', '')))}".rstrip(": ")
    if status >= 500 or status == 429 or code in _TRANSIENT:
        return TransientError(f"{path} cannot be read after {attempts} attempts: {said}")
    if status == 412:
        return JobError(changed(path))
    if code == "NoSuchBucket":
        return JobError(f"there is no bucket {bucket}; check its name, and AWS_ENDPOINT_URL_S3 if it is not Amazon's")
    if status == 404:
        return JobError(f"{path}, which was there when the job started, is gone; put it back, and run it again")
    if code in _CREDENTIALS or status == 401:
        return JobError(f"S3 refuses the credentials for {path} ({said}); {_SIGN_IN}")
    if code == "RequestTimeTooSkewed":
        return JobError(f"S3 refuses requests for {path}: set this machine's clock ({said})")
    if code == "InvalidObjectState":
        return JobError(f"{path} is archived; restore it first")
    if status == 403:
        return JobError(f"{path} may not be read: these credentials lack {right} on bucket {bucket} ({said})")
    if status == 301:
        return JobError(f"{path} is in another region; set AWS_REGION to that of bucket {bucket} ({said})")
    return JobError(f"{path} cannot be read ({said or status})")
