"""Goes on where it was, exactly: reads a topic up to its present end, and keeps its place in FILE.

catch_up.py SOCKET TOPIC FILE

The first run starts with the oldest message there is. Every message is taken once, whatever happens in between, or it is
said which are not to be had.
"""

import pathlib
import sys

import oyez

socket, name, file = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
topic = oyez.Subscription(name, oyez.Start.EARLIEST)
if file.exists():
    epoch, at = map(int, file.read_text().split())
    topic = oyez.Subscription(name, oyez.Start.RESUME, at, epoch)

with oyez.Client(socket) as client, client.subscriber(topic) as subscriber:
    messages, caught_up = 0, False
    while not caught_up:
        for event in subscriber:
            if event.kind is oyez.Kind.MESSAGE:
                messages += 1
            elif event.kind is oyez.Kind.CAUGHT_UP:
                caught_up = True
            elif event.kind is oyez.Kind.GAP:
                print(f"messages {event.sequence} to {event.to_sequence} are lost, cause {event.cause}")
            elif event.kind is oyez.Kind.REWOUND:
                print(f"messages from {event.to_sequence} on never happened: undo them")
    place = subscriber.progress()
    file.write_text(f"{place.epoch} {place.next_sequence}\n")
    print(f"took {messages} messages, next is {place.next_sequence}")
