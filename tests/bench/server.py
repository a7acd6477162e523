"""HTTP/1.1 on a loopback port: every connection is kept and counted, and each request answered by one coroutine."""

import asyncio
import contextlib


class Server:
    """`answer` takes method, path, headers and body, and gives status, headers and body."""

    def __init__(self, answer, tls=None):
        self.answer, self.tls = answer, tls
        self.connections = 0
        self.open = set()

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.listener.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self.listener.close()
        for task in self.open:
            task.cancel()

    async def serve(self, reader, writer):
        self.connections += 1
        self.open.add(asyncio.current_task())
        try:
            while True:
                request = await read(reader)
                status, headers, body = await self.answer(*request)
                head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {status} -\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            pass  # The process ended, or its run did.
        finally:
            self.open.discard(asyncio.current_task())
            with contextlib.suppress(OSError):
                writer.close()


async def read(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.rstrip().split("\r\n")
    method, path, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join([chunk async for chunk in chunks(reader)])
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return method, path, headers, body


async def chunks(reader):
    size = None
    while size != 0:
        size = int((await reader.readline()).split(b";")[0], 16)
        yield await reader.readexactly(size)
        await reader.readline()
