"""WebSockets over HTTP/3 by aioquic and wsproto (RFC 9220): what came of them, as JSON on standard output."""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection, Setting
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StreamDataReceived, StreamReset
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

BIG = bytes(i % 251 for i in range(4 << 20))


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.streams = {}

    def quic_event_received(self, event):
        for http_event in self.http.handle_event(event):
            queue = self.streams[http_event.stream_id]
            if isinstance(http_event, HeadersReceived):
                queue.put_nowait(dict(http_event.headers))
            elif isinstance(http_event, DataReceived) and http_event.data:
                queue.put_nowait(http_event.data)
        queue = self.streams.get(getattr(event, "stream_id", None))
        if queue and isinstance(event, StreamReset):
            queue.put_nowait("reset")
        elif queue and isinstance(event, StreamDataReceived) and event.end_stream:
            queue.put_nowait("end")

    async def open(self, path, protocol=b"websocket", offers=b"chat"):
        stream = self._quic.get_next_available_stream_id()
        self.streams[stream] = asyncio.Queue()
        head = [
            (b":method", b"CONNECT"),
            (b":protocol", protocol),
            (b":scheme", b"https"),
            (b":authority", b"localhost"),
            (b":path", path.encode()),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-protocol", offers),
        ]
        self.http.send_headers(stream, head)
        self.transmit()
        return stream, await asyncio.wait_for(self.streams[stream].get(), 20)


class Socket:
    def __init__(self, client, stream):
        self.client, self.stream = client, stream
        self.frames = Connection(ConnectionType.CLIENT)
        self.ended = None

    def send(self, event):
        self.client.http.send_data(self.stream, self.frames.send(event), end_stream=False)
        self.client.transmit()

    async def next(self):
        """The next message whole, or how the stream ended."""
        message = None
        while True:
            for event in self.frames.events():
                if isinstance(event, (TextMessage, BytesMessage)):
                    message = event.data if message is None else message + event.data
                    if event.message_finished:
                        return message
                elif isinstance(event, CloseConnection):
                    self.send(event.response())
                    return [event.code, event.reason]
                elif isinstance(event, Pong):
                    return "pong"
            if self.ended:
                return self.ended
            piece = await asyncio.wait_for(self.client.streams[self.stream].get(), 20)
            if isinstance(piece, str):
                self.ended = piece
            else:
                self.frames.receive_data(piece)


async def main(host, port):
    configuration = QuicConfiguration(alpn_protocols=["h3"], is_client=True, server_name="localhost")
    configuration.verify_mode = ssl.CERT_NONE
    configuration.max_data = configuration.max_stream_data = 1 << 20
    told = {}
    async with connect(host, port, configuration=configuration, create_protocol=Client) as client:
        stream, head = await client.open("/chat?room=1")
        told["allowed"] = client.http.received_settings[Setting.ENABLE_CONNECT_PROTOCOL]
        told["head"] = {name.decode(): value.decode() for name, value in head.items()}
        socket = Socket(client, stream)
        for text in ["one", "two"]:
            socket.send(TextMessage(text))
        socket.send(BytesMessage(BIG))
        socket.send(TextMessage("last"))
        echoed = [await socket.next() for _ in range(4)]
        told["echoed"] = [text if isinstance(text, str) else text == BIG for text in echoed]
        socket.send(Ping())
        told["ping"] = await socket.next()
        told["beside"] = (await client.open("/refuse"))[1][b":status"].decode()
        told["other"] = (await client.open("/chat", b"connect-ip"))[1][b":status"].decode()
        socket.send(TextMessage("bye"))
        told["bye"] = [await socket.next(), await socket.next()]
        stream, _ = await client.open("/chat")
        socket = Socket(client, stream)
        socket.send(TextMessage("drop"))
        told["drop"] = await socket.next()
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
