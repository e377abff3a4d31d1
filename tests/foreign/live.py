"""A live channel over a WebSocket over HTTP/3: its beginning and the three numbers after, as JSON on standard output."""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.quic.configuration import QuicConfiguration
from websocket import Client, Socket
from wsproto.events import TextMessage


async def main(host, port, channel):
    configuration = QuicConfiguration(alpn_protocols=["h3"], is_client=True, server_name="localhost")
    configuration.verify_mode = ssl.CERT_NONE
    async with connect(host, port, configuration=configuration, create_protocol=Client) as client:
        stream, _ = await client.open("/v1/live")
        socket = Socket(client, stream)
        socket.send(TextMessage(json.dumps({"subscribe": channel, "after": 1})))
        told = [json.loads(await socket.next()) for _ in range(3)]
    json.dump(told, sys.stdout)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
