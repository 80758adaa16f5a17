"""Folders of object stores that no other test has: a bucket of S3, a container of Azure Blob."""

from __future__ import annotations

import functools
import itertools
from typing import Any, Protocol

from tests.support.azurite import ACCOUNT

_NUMBERS = itertools.count()


class ObjectFolder(Protocol):
    """A bucket or container of a test's own.

    Attributes:
      path: as a location, without a slash at its end.
      client: of the service.
      name: of the bucket or container.
    """

    path: str
    name: str
    client: Any

    def put(self, name: str, content: bytes, encoding: str | None = None) -> str:
        """Stores an object; returns its path."""

    def remove(self, name: str) -> None:
        """Removes an object."""


class Bucket:
    """As `ObjectFolder`."""

    def __init__(self, url: str):
        self.name = f"bucket-{next(_NUMBERS)}"
        self.path = f"s3://{self.name}"
        self.client = _client(url)
        self.client.create_bucket(Bucket=self.name)

    def put(self, name: str, content: bytes, encoding: str | None = None) -> str:
        """As `ObjectFolder.put`."""
        more = {"ContentEncoding": encoding} if encoding else {}
        self.client.put_object(Bucket=self.name, Key=name, Body=content, **more)
        return f"{self.path}/{name}"

    def remove(self, name: str) -> None:
        """As `ObjectFolder.remove`."""
        self.client.delete_object(Bucket=self.name, Key=name)


@functools.cache
def _client(url: str) -> Any:
    import boto3

    return boto3.session.Session().client("s3", endpoint_url=url)  # takes as long as hundreds of requests


class Container:
    """As `ObjectFolder`."""

    def __init__(self, connection_string: str):
        from azure.storage.blob import BlobServiceClient

        self.name = f"container-{next(_NUMBERS)}"
        self.path = f"azfs://{ACCOUNT}/{self.name}"
        self.client: Any = BlobServiceClient.from_connection_string(connection_string).create_container(self.name)

    def put(self, name: str, content: bytes, encoding: str | None = None) -> str:
        """As `ObjectFolder.put`."""
        from azure.storage.blob import ContentSettings

        settings = ContentSettings(content_encoding=encoding) if encoding else None
        self.client.upload_blob(name, content, overwrite=True, content_settings=settings)
        return f"{self.path}/{name}"

    def remove(self, name: str) -> None:
        """As `ObjectFolder.remove`."""
        self.client.delete_blob(name)
