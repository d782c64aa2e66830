"""The conformance script by the Python package: driver.py SOCKET SCRIPT PREFIX, PREFIX before each topic's name."""

import asyncio
import struct
import sys
import time

import oyez

PATIENCE = 60


def message_of(told):
    """SBE message header of schema 7, and the body: TEMPLATE:BODY, or ~N."""
    template_id, body = ("1", "x" * int(told[1:])) if told[0] == "~" else told.split(":")
    return struct.pack("<4H", len(body) & 0xFFFF, int(template_id), 7, 0) + body.encode()


def start_of(told):
    """live, earliest, sequence:N, resume:EPOCH:N, time:NS"""
    kind, *numbers = told.split(":")
    at, epoch = int(numbers[-1]) if numbers else 0, int(numbers[0]) if len(numbers) > 1 else 0
    return {"start": oyez.Start[kind.upper()], "at": at, "epoch": epoch}


def subscription_of(told, prefix):
    """TOPIC/PARTITION@START, where PARTITION may be all"""
    where, start = told.split("@")
    topic, partition = where.split("/")
    partition = oyez.ALL_PARTITIONS if partition == "all" else int(partition)
    return oyez.Subscription(prefix + topic, partition=partition, **start_of(start))


def text_of(event):
    if event.kind == oyez.Kind.MESSAGE:
        body = bytes(event.data[8:]).decode()
        body = f"~{len(body)}" if len(body) > 40 and body == "x" * len(body) else body
        return f"message {event.sequence} {event.template_id}:{body}"
    if event.kind == oyez.Kind.EPOCH:
        return f"epoch {event.epoch} from {event.sequence}"
    if event.kind == oyez.Kind.CAUGHT_UP:
        return f"caught-up {event.sequence}"
    if event.kind == oyez.Kind.GAP:
        return f"gap {event.sequence} {event.to_sequence} {event.cause}"
    return f"{event.kind.name.lower()} {event.sequence}"


class Driver:
    def __init__(self, socket, prefix):
        self.client = oyez.Client(socket, timeout=PATIENCE)
        self.prefix = prefix
        self.handles = {}
        self.positions = {}

    def step(self, verb, name, *rest):
        try:
            return getattr(self, verb)(name, *rest) or "OK"
        except oyez.OyezError as error:
            return error.name

    def describe(self, topic):
        info = self.client.describe(self.prefix + topic)
        return f"OK partitions {info.partitions} durability {info.durability:d}"

    def key(self, key, partitions):
        return f"OK {oyez.partition_of(key.encode(), int(partitions))}"

    def publisher(self, name, topic, partition):
        self.handles[name] = self.client.publisher(self.prefix + topic, int(partition))

    def next(self, name):
        return f"OK {self.handles[name].next_sequence}"

    def published(self, name, published):
        if published is None:
            return "BACK_PRESSURED"
        self.positions[name] = published.position
        return f"OK {published.sequence}"

    def offer(self, name, told):
        return self.published(name, self.handles[name].offer(message_of(told)))

    def offerv(self, name, told, rest):
        return self.published(name, self.handles[name].offer_parts(message_of(told), rest.encode()))

    def claim(self, name, told):
        message = message_of(told)
        self.handles[name].claim(len(message))[:] = message

    def commit(self, name):
        return self.published(name, self.handles[name].commit())

    def abort(self, name):
        self.handles[name].abort()

    def wait(self, name, durability):
        self.handles[name].wait(self.positions[name], oyez.Durability(int(durability)), PATIENCE)

    def subscriber(self, name, durability, topics):
        subscriptions = [subscription_of(told, self.prefix) for told in topics.split(",")]
        self.handles[name] = self.client.subscriber(*subscriptions, durability=oyez.Durability(int(durability)))

    def receive(self, name, wanted, limit):
        came = []
        deadline = time.monotonic() + PATIENCE
        while len(came) < wanted and time.monotonic() < deadline:
            came.extend(self.handles[name].next_batch(limit or wanted - len(came)))
        return [(event.topic, text_of(event)) for event in came]

    def take(self, name, wanted):
        return "; ".join(text for _, text in sorted(self.receive(name, int(wanted), None), key=lambda came: came[0]))

    batch = take

    def again(self, name):
        """There is no handler in Python: what is wanted again is kept."""
        ((_, text),) = self.receive(name, 1, 1)
        return f"{text}; {text}"

    def break_(self, name):
        return self.receive(name, 1, 1)[0][1]

    def idle(self, name):
        return "; ".join(text_of(event) for event in self.handles[name])

    def sleep(self, name):
        return "OK woken" if self.handles[name].wait(60) else "OK quiet"

    def doze(self, name):
        asyncio.run(asyncio.wait_for(self.handles[name].ready(), 60))
        return "OK woken"

    def seek(self, name, topic, start):
        self.handles[name].seek(int(topic), **start_of(start))

    def progress(self, name, topic):
        told = self.handles[name].progress(int(topic))
        return f"OK epoch {told.epoch} next {'?' if told.next_sequence is None else told.next_sequence}"

    def lag(self, name, topic):
        lag = self.handles[name].lag(int(topic))
        return f"OK messages {'?' if lag is None else lag.messages}"

    def stats(self, name):
        counts = self.handles[name].stats()
        if isinstance(counts, oyez.PublisherCounts):
            return f"OK messages {counts.messages} refused {counts.refused}"
        return f"OK messages {counts.messages} gaps {counts.gaps} missing {counts.missing}"

    def close(self, name):
        self.handles.pop(name).close()


def main(socket, script, prefix):
    driver = Driver(socket, prefix)
    with open(script, encoding="utf-8") as lines:
        for line in lines:
            told, arrow, _ = line.rstrip("\n").partition(" -> ")
            if not arrow or line.startswith("#"):
                print(line, end="")
                continue
            verb, *rest = told.split(" ")
            print(told, "->", driver.step("break_" if verb == "break" else verb, *rest))


main(*sys.argv[1:])
