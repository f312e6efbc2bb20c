"""A TCP proxy before a server's Unix socket, to take the network away: `python -m bench.proxy PORT SOCKET`.

Lines on standard input say what the network does: "pass", "hole" (connections stay, nothing comes through), "cut"
(connections are reset, then it passes again), "to PATH" (to another socket from now on). It ends with its standard
input.
"""

import asyncio
import sys

CHUNK = 65_536


class Network:
    """All connections, and whether anything passes."""

    def __init__(self, target: str):
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection, both ways."""
        await self._open.wait()
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
        self._writers -= {writer, far_writer}

    def obey(self, order: str) -> None:
        """Change what the network does."""
        if order == "hole":
            self._open.clear()
            return
        if order.startswith("to "):
            self._target = order.removeprefix("to ")
            return
        if order == "cut":
            for writer in self._writers:
                writer.transport.abort()
        self._open.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


async def main(port: int, target: str) -> None:
    """Serve until standard input ends."""
    network = Network(target)
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    server = await asyncio.start_server(network.accept, "127.0.0.1", port, backlog=500)
    async with server:
        while order := await orders.readline():
            network.obey(order.decode().strip())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
