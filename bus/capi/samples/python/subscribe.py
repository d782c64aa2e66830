"""Reads the next COUNT messages of a topic, live: subscribe.py SOCKET TOPIC COUNT"""

import struct
import sys
import time

import oyez

socket, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with oyez.Client(socket) as client, client.subscriber(topic) as subscriber:
    print("subscribed", flush=True)
    messages = 0
    while messages < count:
        for event in subscriber.next_batch():
            if event.kind is oyez.Kind.MESSAGE:
                (number,) = struct.unpack_from("<Q", event.data, 8)
                print(f"message {event.sequence}: {number}")
                messages += 1
            elif event.kind is oyez.Kind.GAP:
                print(f"messages {event.sequence} to {event.to_sequence} are lost")
        time.sleep(0)
