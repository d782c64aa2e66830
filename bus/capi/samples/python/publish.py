"""Publishes COUNT messages and waits until the last of them is durable: publish.py SOCKET TOPIC COUNT"""

import struct
import sys
import time

import oyez

socket, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with oyez.Client(socket) as client, client.publisher(topic, wait=60) as publisher:
    for number in range(count):
        # SBE message header, and a number as the body.
        message = struct.pack("<4HQ", 8, 1, 1, 0, number)
        while not (published := publisher.offer(message)):
            time.sleep(0)
    publisher.wait(published.position, oyez.Durability.DURABLE, timeout=60)
    print(f"published up to message {published.sequence}, durable")
