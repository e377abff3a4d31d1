"""A lossy line between two network namespaces, of two TUN devices: `link.py NAME NEAR FAR DELAY_MS JITTER_MS LOSS REORDER RATE`.

NEAR is this side's address and FAR the other's, in a namespace called NAME, which lives as long as this does. Each packet is
late by the delay, more or less by the jitter (packets stay in order but for those that are reordered, which go at once), and
is lost with a chance in percent. What exceeds the rate (bits a second) waits in a queue of half a second, or is lost.
Says `up`, and ends with its input. The chances are drawn by a fixed seed, so that a story has the same weather each day.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
QUEUE_SECONDS = 0.5


def run(*command):
    subprocess.run(command, check=True)


def tun(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Direction:
    def __init__(self, out, weather):
        self.out, self.weather, self.free, self.last = out, weather, 0.0, 0.0

    def take(self, packet, now):
        """When a packet arrives, if it does."""
        delay, jitter, loss, reorder, rate = self.weather
        begins = max(now, self.free)
        if random.uniform(0, 100) < loss or begins - now > QUEUE_SECONDS:
            return None
        self.free = begins + len(packet) * 8 / rate
        if random.uniform(0, 100) < reorder:
            return self.free
        self.last = max(self.last, self.free + delay + random.uniform(-jitter, jitter))
        return self.last


def pump(near, far, weather):
    directions, flying, count = {near: Direction(far, weather), far: Direction(near, weather)}, [], 0
    while True:
        patience = max(0, flying[0][0] - time.monotonic()) if flying else None
        ready, _, _ = select.select([near, far, sys.stdin], [], [], patience)
        now = time.monotonic()
        for device in ready:
            if device is sys.stdin:
                return
            packet = os.read(device, 65536)
            if (at := directions[device].take(packet, now)) is not None:
                count += 1
                heapq.heappush(flying, (at, count, directions[device].out, packet))
        while flying and flying[0][0] <= now:
            _, _, out, packet = heapq.heappop(flying)
            os.write(out, packet)


def main(name, here, there, delay, jitter, loss, reorder, rate):
    random.seed(30)
    run("ip", "netns", "add", name)
    try:
        near, far = tun(f"{name}a"), tun(f"{name}b")
        run("ip", "link", "set", f"{name}b", "netns", name)
        run("ip", "addr", "add", here, "peer", there, "dev", f"{name}a")
        run("ip", "link", "set", f"{name}a", "up")
        inside = ["ip", "-n", name]
        run(*inside, "addr", "add", there, "peer", here, "dev", f"{name}b")
        run(*inside, "link", "set", f"{name}b", "up")
        run(*inside, "link", "set", "lo", "up")
        print("up", flush=True)
        pump(near, far, (float(delay) / 1e3, float(jitter) / 1e3, float(loss), float(reorder), float(rate)))
    finally:
        run("ip", "netns", "del", name)


main(*sys.argv[1:])
