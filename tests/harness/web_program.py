"""What the stories start inside a sandbox: a web server that says what it sees.

    program.py ADDRESS PORT

It is run by the image's own Python and uses the aiohttp of the image.
"""

import asyncio
import hashlib
import sys

from aiohttp import WSMsgType, web

PIECE = bytes(range(256)) * 256


async def seen(request: web.Request) -> web.Response:
    """The request as it arrived."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "host": request.headers.get("Host"),
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "names": [name.decode() for name, _ in request.raw_headers],
            "body": hashlib.sha256(body).hexdigest(),
            "length": len(body),
        },
        headers={"X-From-Program": "yes", "Connection": "X-Secret-Hop", "X-Secret-Hop": "1"},
    )


async def swallow(request: web.Request) -> web.Response:
    """Reads an upload of any size and says how long it was."""
    digest, length = hashlib.sha256(), 0
    async for piece in request.content.iter_any():
        digest.update(piece)
        length += len(piece)
    return web.json_response({"length": length, "body": digest.hexdigest()})


async def large(request: web.Request) -> web.StreamResponse:
    """Sends as many bytes as asked for, as fast as they are taken; `sent` tells how far it is."""
    left = int(request.query["bytes"])
    response = web.StreamResponse()
    await response.prepare(request)
    request.app["sent"][0] = 0
    while left:
        piece = PIECE[: min(left, len(PIECE))]
        await response.write(piece)
        request.app["sent"][0] += len(piece)
        left -= len(piece)
    return response


async def sent(request: web.Request) -> web.Response:
    return web.json_response(request.app["sent"][0])


async def events(request: web.Request) -> web.StreamResponse:
    """Server-sent events, one every half second, until the client is gone."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    request.app["listeners"][0] += 1
    try:
        for number in range(1000):
            await response.write(f"data: {number}\n\n".encode())
            await asyncio.sleep(0.5)
    finally:
        request.app["listeners"][0] -= 1
    return response


async def listeners(request: web.Request) -> web.Response:
    return web.json_response(request.app["listeners"][0])


async def echo(request: web.Request) -> web.WebSocketResponse:
    """A WebSocket that says everything twice: as it came, and how long it was."""
    socket = web.WebSocketResponse(max_msg_size=64 << 20, protocols=("chat",))
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        await socket.send_str(str(len(message.data)))
    return socket


async def half(request: web.Request) -> web.StreamResponse:
    """Promises more than it sends, and breaks off."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x" * 10)
    request.transport.abort()
    return response


def main() -> None:
    app = web.Application(client_max_size=1 << 30)
    app["sent"], app["listeners"] = [0], [0]
    app.router.add_get("/large", large)
    app.router.add_get("/sent", sent)
    app.router.add_get("/events", events)
    app.router.add_get("/listeners", listeners)
    app.router.add_get("/echo", echo)
    app.router.add_get("/half", half)
    app.router.add_post("/swallow", swallow)
    app.router.add_route("*", "/{rest:.*}", seen)
    web.run_app(app, host=sys.argv[1], port=int(sys.argv[2]), print=None)


main()
