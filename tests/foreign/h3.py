"""Requests over one HTTP/3 connection of aioquic: a JSON list on standard input, what came of each on standard output."""

import asyncio
import base64
import json
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived, StreamReset


class Http(H3Connection):
    """The library takes an answer to HEAD for cut off when it says how long the content would be (RFC 9114 4.1.2)."""

    def __init__(self, quic):
        super().__init__(quic)
        self.without_content = set()

    def _check_content_length(self, stream):
        if stream.stream_id not in self.without_content:
            super()._check_content_length(stream)


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = Http(self._quic)
        self.answers = {}

    def quic_event_received(self, event):
        for http_event in self.http.handle_event(event):
            answer, _ = self.answers[http_event.stream_id]
            if isinstance(http_event, HeadersReceived):
                answer["heads"].append([[n.decode(), v.decode()] for n, v in http_event.headers])
            elif isinstance(http_event, DataReceived):
                answer["body"] += http_event.data
        if isinstance(event, ConnectionTerminated):
            for _, done in self.answers.values():
                done.done() or done.set_exception(ConnectionError(event.reason_phrase))
            return
        _, done = self.answers.get(getattr(event, "stream_id", None), (None, None))
        if done is None or done.done():
            return
        if isinstance(event, StreamReset):
            done.set_exception(ConnectionError(f"reset with {event.error_code:#x}"))
        # A stream may end with a frame of unknown type, of which no event of HTTP tells.
        elif isinstance(event, StreamDataReceived) and event.end_stream:
            done.set_result(None)

    async def ask(self, authority, method, path, fields, body):
        stream = self._quic.get_next_available_stream_id()
        answer, done = {"heads": [], "body": b""}, asyncio.get_running_loop().create_future()
        self.answers[stream] = (answer, done)
        if method == "HEAD":
            self.http.without_content.add(stream)
        head = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
        head += [(name.lower(), value) for name, value in fields]
        encoded = [(name.encode(), value.encode()) for name, value in head]
        self.http.send_headers(stream, encoded, end_stream=body is None)
        if body is not None:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        await asyncio.wait_for(done, 60)
        statuses = [int(value) for head in answer["heads"] for name, value in head if name == ":status"]
        heads = answer["heads"]
        return {"statuses": statuses, "heads": heads, "body": base64.b64encode(answer["body"]).decode()}


async def main(host, port):
    configuration = QuicConfiguration(alpn_protocols=["h3"], is_client=True, server_name="localhost")
    configuration.verify_mode = ssl.CERT_NONE
    configuration.max_data = configuration.max_stream_data = 16 << 20
    async with connect(host, port, configuration=configuration, create_protocol=Client) as client:
        answers = []
        for asked in json.load(sys.stdin):
            body = base64.b64decode(asked["body"]) if asked["body"] is not None else None
            answers.append(await client.ask(f"{host}:{port}", asked["method"], asked["path"], asked["fields"], body))
        json.dump(answers, sys.stdout)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
