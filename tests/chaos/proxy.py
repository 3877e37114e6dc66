"""A TCP proxy that can stall, and cut what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading


class Proxy:
    """Forwards connections to a local port, in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, 0
        self.loop = asyncio.new_event_loop()
        self.open: set[asyncio.StreamWriter] = set()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self.serve, "127.0.0.1", 0), self.loop).result()
        self.port = server.sockets[0].getsockname()[1]

    def stall(self) -> None:
        """Connections stay open, new ones are accepted, and nothing goes through any."""
        self.loop.call_soon_threadsafe(self.flowing.clear)

    def flow(self) -> None:
        self.loop.call_soon_threadsafe(self.flowing.set)

    def cut(self) -> int:
        """Resets every connection."""
        return asyncio.run_coroutine_threadsafe(self.reset(), self.loop).result()

    async def reset(self) -> int:
        number = len(self.open) // 2
        for writer in list(self.open):
            # Without lingering, so that the other side sees a reset and no orderly end.
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return number

    def close(self) -> None:
        self.cut()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.flowing.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self.open |= pair
        try:
            await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
        finally:
            self.open -= pair
            for one in pair:
                one.close()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self.flowing.wait()
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
