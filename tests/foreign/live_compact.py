"""A live channel in few bytes (sluice.live.compact.v1) over a WebSocket over HTTP/3, by a reader of its own: seqs and texts of three
messages, as JSON on standard output."""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.quic.configuration import QuicConfiguration
from websocket import Client, Socket
from wsproto.events import BytesMessage

PROTOCOL = b"sluice.live.compact.v1"
SUBSCRIBED, FRAME = 1, 2
MESSAGE, CLIENT_ID, NAME = 1, 16, 32


def number(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def text(value):
    return number(len(value)) + value


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, count):
        assert len(self.data) >= count, "cut"
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def number(self):
        value, place = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << place
            place += 7
            if byte < 128:
                return value

    def text(self):
        return self.take(self.number())


def records(data):
    """(seq, text) of each message; what else there is is passed over, as far as this story has it."""
    reader = Reader(data)
    while reader.data:
        kind = reader.take(1)[0]
        if kind == SUBSCRIBED:
            reader.number(), reader.number(), reader.text()
            continue
        assert kind == FRAME, kind
        reader.number()
        head = reader.take(1)[0]
        assert head & 15 == MESSAGE, head
        seq, _when, _id, _author = reader.number(), reader.number(), reader.take(8), reader.take(8)
        for flag in (CLIENT_ID, NAME):
            if head & flag:
                reader.text()
        yield seq, reader.text().decode()


async def main(host, port, channel, token):
    configuration = QuicConfiguration(alpn_protocols=["h3"], is_client=True, server_name="localhost")
    configuration.verify_mode = ssl.CERT_NONE
    async with connect(host, port, configuration=configuration, create_protocol=Client) as client:
        stream, head = await client.open("/v1/live", offers=PROTOCOL)
        assert head[b"sec-websocket-protocol"] == PROTOCOL, head
        socket = Socket(client, stream)
        socket.send(BytesMessage(bytes([1, 3]) + text(channel.encode()) + number(1) + text(token.encode())))
        told = []
        while len(told) < 3:
            told.extend(records(await socket.next()))
    json.dump(told, sys.stdout)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
