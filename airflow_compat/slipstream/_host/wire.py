"""Messages on the socket between Slipstream and a host process.

A message is ``>II`` (length of the JSON, length of the attachment), the JSON, the attachment.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socket import socket

HEAD = struct.Struct(">II")


class Closed(Exception):
    """The other end is gone."""


def _take(sock: socket, size: int) -> bytes:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = sock.recv_into(view)
        if not count:
            raise Closed
        view = view[count:]
    return bytes(data)


def read(sock: socket) -> tuple[Any, bytes]:
    """Read one message; raise ``Closed`` when there will be none."""
    size, attached = HEAD.unpack(_take(sock, HEAD.size))
    return json.loads(_take(sock, size)), _take(sock, attached)


def write(sock: socket, message: Any) -> None:
    """Write one message."""
    data = json.dumps(message, default=str).encode()
    sock.sendall(HEAD.pack(len(data), 0) + data)
