"""Round trips between two processes, each on a core of its own, both spinning:

ping_pong.py SOCKET THERE BACK ROUNDS pong &      answers on BACK what comes on THERE
ping_pong.py SOCKET THERE BACK ROUNDS ping        tells the median of the round trips
"""

import statistics
import struct
import sys

import oyez


def take(subscriber):
    """Waits for one message."""
    while not any(event.kind is oyez.Kind.MESSAGE for event in subscriber.next_batch(1)):
        pass


socket, there, back, rounds, role = sys.argv[1:]
out, into = (there, back) if role == "ping" else (back, there)
with oyez.Client(socket) as client, client.publisher(out, wait=60) as publisher:
    with client.subscriber(oyez.Subscription(into, oyez.Start.EARLIEST)) as subscriber:
        times_ns = []
        for number in range(int(rounds)):
            if role == "pong":
                take(subscriber)
            while not (published := publisher.offer(struct.pack("<4HQ48x", 56, 1, 1, 0, number))):
                pass
            times_ns.append(published.time_ns)
            if role == "ping":
                take(subscriber)
        if role == "ping":
            round_trips_ns = [after - before for before, after in zip(times_ns, times_ns[1:])]
            print(f"median round trip of {rounds}: {round(statistics.median(round_trips_ns))} ns")
