"""One of many publishers, and a subscriber that sees who it was: ingress.py SOCKET, where `many` has the origin b = 7."""

import sys

import oyez

client = oyez.Client(sys.argv[1])
with client.ingress("many", "b") as ingress:
    assert ingress.accepted.number == 0
    number = [ingress.offer(bytes(16)) for _ in range(3)][-1]
    assert number is not None
    told = ingress.wait(number, oyez.Durability.DURABLE, 60)
subscriber = client.subscriber(oyez.Subscription("many", oyez.Start.EARLIEST))
seen: list[tuple[int, int]] = []
while len(seen) < 3:
    seen += [(event.publisher, event.number) for event in subscriber if event.kind == oyez.Kind.MESSAGE]
print(number, told.number, seen)
