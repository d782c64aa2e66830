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
