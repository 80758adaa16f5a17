"""The messages of the Storage Write API as plain protobuf classes, without the clients around them."""

from __future__ import annotations

import importlib

from transforms.lazy_package import make_lazy

make_lazy("google.cloud.bigquery_storage_v1")
_types = importlib.import_module("google.cloud.bigquery_storage_v1.types")

AppendRowsRequest = _types.AppendRowsRequest.pb()
AppendRowsResponse = _types.AppendRowsResponse.pb()
CreateWriteStreamRequest = _types.CreateWriteStreamRequest.pb()
FinalizeWriteStreamRequest = _types.FinalizeWriteStreamRequest.pb()
FinalizeWriteStreamResponse = _types.FinalizeWriteStreamResponse.pb()
RowError = _types.RowError.pb()
StorageError = _types.StorageError.pb()
WriteStream = _types.WriteStream.pb()
