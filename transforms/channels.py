"""How a channel to a service of Google Cloud is opened, or one to its emulator. Plain Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from transforms.errors import JobError
from transforms.services import SIGN_IN

# Messages of any size may arrive; keepalive finds connections that a NAT or a load balancer dropped silently. By
# default all channels of a process to one address share a connection, and with it the wait of one that was refused: a
# new channel would be refused a service that is back.
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.use_local_subchannel_pool", 1),
)


def channel_opener(
    credentials: Callable[[], Any] | None,
) -> Callable[[str, Sequence[tuple[str, int]]], grpc.Channel]:
    """What opens channels to addresses, with options; calls nothing yet.

    Args:
      credentials: as targets have them, looked for at once; None for an emulator.

    Raises:
      JobError: there are no credentials.
    """
    if credentials is None:
        return lambda address, options: grpc.insecure_channel(address, options=options)
    import google.auth.exceptions
    import google.auth.transport.grpc
    import google.auth.transport.requests

    try:
        account = credentials()
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise JobError(f"{error} {SIGN_IN}") from None
    request = google.auth.transport.requests.Request()
    return lambda address, options: google.auth.transport.grpc.secure_authorized_channel(
        account, request, address, options=options
    )
