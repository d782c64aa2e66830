"""Numbers that C would take modulo their width, messages that are none, and memory that would be gone."""

import gc

import oyez


def refused(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        return str(error)
    raise SystemExit(f"{call} took {arguments} {named}")


client = oyez.Client(in_process=["md", "other"])
publisher = client.publisher("md")
subscriber = client.subscriber(oyez.Subscription("md", oyez.Start.EARLIEST))

for call, arguments in (
    (client.publisher, ("md", 1 << 16)),
    (client.publisher, ("md", -1)),
    (oyez.partition_of, (b"key", 1 << 16)),
    (client.subscriber, (oyez.Subscription("md", partition=1 << 16),)),
    (client.subscriber, (oyez.Subscription("md", oyez.Start.RESUME, epoch=1 << 32),)),
    (client.subscriber, (oyez.Subscription("md", oyez.Start.SEQUENCE, at=1 << 64),)),
    (publisher.claim, (-1,)),
    (publisher.wait, (-1, oyez.Durability.PUBLISHED, 0.0)),
    (subscriber.next_batch, (-1,)),
    (subscriber.seek, (1 << 32, oyez.Start.LIVE)),
    (subscriber.progress, (1 << 32,)),
    (subscriber.lag, (-1,)),
):
    assert "out of range" in refused(ValueError, call, *arguments)
assert "out of range" in refused(ValueError, client.subscriber, "md", batch_bytes=-1)

# A number is no message of so many zeros.
refused(TypeError, publisher.offer, 16)
refused(TypeError, publisher.offer_parts, b"12345678", 16)
assert publisher.next_sequence == 0
words = memoryview(b"\x08\0\1\0\1\0\0\0").cast("I")
assert publisher.offer(words).sequence == 0 and publisher.offer_parts(words, words).sequence == 1
assert [len(event.data) for event in subscriber if event.kind is oyez.Kind.MESSAGE] == [8, 16]

# What was claimed is there for as long as it is looked at.
claimed = publisher.claim(64)
part = claimed[8:]
assert "release" in refused(BufferError, publisher.close)
claimed.release()
assert "release" in refused(BufferError, publisher.close)
part.release()
publisher.close()
publisher.close()
claimed = client.publisher("md").claim(64)
gc.collect()
claimed[:8] = b"12345678"
refused(oyez.OyezError, client.publisher, "md")
del claimed
client.publisher("md").close()

# Of many topics the one that cannot be read on.
publisher, other = client.publisher("md"), client.publisher("other")
subscriber = client.subscriber("md", oyez.Subscription("other", oyez.Start.SEQUENCE, at=9))
assert subscriber.failed is None
for _ in range(4):
    publisher.offer(bytes(64))
    try:
        subscriber.next_batch()
    except oyez.OyezError as error:
        assert (error.name, error.is_fatal, subscriber.failed) == ("AHEAD", False, 1)
        break
else:
    raise SystemExit("no error")
subscriber.seek(1, oyez.Start.LIVE)
assert subscriber.failed is None

# Several partitions, by key.
assert (oyez.partition_of(b"EURUSD", 4), oyez.partition_of(memoryview(b"FR0000131104"), 64)) == (3, 2)
refused(oyez.OyezError, oyez.partition_of, b"key", 0)
client = oyez.Client(in_process=["orders:4"])
everything = client.subscriber(oyez.Subscription("orders", partition=oyez.ALL_PARTITIONS))
with client.keyed_publisher("orders", [3, 0]) as orders:
    assert orders.offer(b"EURUSD", words).sequence == 0
    assert "orders, partition 2" in refused(KeyError, orders.offer, b"FR0000131104", words)
    assert "partition 0" in refused(oyez.OyezError, client.keyed_publisher, "orders")
    orders.publishers.pop(0).close()
    orders.publishers[2] = client.publisher("orders", 2)
    assert orders.offer(b"FR0000131104", words).sequence == 0 and orders.partitions == 4
    client.keyed_publisher("orders", [0, 1]).close()
orders = client.keyed_publisher("orders", wait=float("inf"))
claimed = orders.publishers[1].claim(64)
assert "release" in refused(BufferError, orders.close) and list(orders.publishers) == [1]
claimed.release()
orders.close()
client.keyed_publisher("orders", wait=float("nan")).close()
came = sorted((event.topic, event.partition) for event in everything if event.kind is oyez.Kind.MESSAGE)
assert came == [(2, 2), (3, 3)], came
