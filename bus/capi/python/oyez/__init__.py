"""Oyez, the market-data and event bus, from Python.

    import oyez
    with oyez.Client("/run/oyez/bus.sock") as client:
        subscriber = client.subscriber("md.equities")
        publisher = client.publisher("md.equities")
        publisher.offer(message)
        for event in subscriber:
            if event.kind is oyez.Kind.MESSAGE:
                print(event.sequence, bytes(event.data))

Over the batch call of liboyez: one call into C brings up to 1,024 events, and their bytes are copied into Python once, as
a whole; each message is a read-only memoryview of that copy, which stays valid for as long as it is kept. Threads as in
oyez.h: a client any number at a time, a publisher or a subscriber one at a time. Durations are in seconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import struct
import time
import weakref
from enum import IntEnum
from typing import Callable, Iterable, Iterator, NamedTuple, Optional, Sequence, TypeVar, Union

from . import _library as c
from ._library import library as _c

__all__ = [
    "ALL_PARTITIONS",
    "Accepted",
    "Batch",
    "Client",
    "Durability",
    "Event",
    "GapCause",
    "Ingress",
    "KeyedPublisher",
    "Kind",
    "Lag",
    "OyezError",
    "Progress",
    "Published",
    "Publisher",
    "PublisherCounts",
    "Start",
    "Subscriber",
    "SubscriberCounts",
    "Subscription",
    "TopicInfo",
    "partition_of",
    "version",
]

Buffer = Union[bytes, bytearray, memoryview]

#: Instead of a partition in a Subscription: all that the topic has, as if each had a subscription of its own, in order.
ALL_PARTITIONS = c.ALL_PARTITIONS


class Durability(IntEnum):
    """How far a position has come. Only DURABLE may be called safe."""

    PUBLISHED = 0
    WRITTEN = 1
    DURABLE = 2


class Start(IntEnum):
    """Where a subscription starts: SEQUENCE and TIME at `at`, RESUME at (`epoch`, `at`)."""

    LIVE = 0
    EARLIEST = 1
    SEQUENCE = 2
    RESUME = 3
    TIME = 4


class Kind(IntEnum):
    """What an event is: see oyez.h, OYEZ_EVENT_…"""

    MESSAGE = 0
    EPOCH = 1
    LAPPED = 2
    CAUGHT_UP = 3
    GAP = 4
    REWOUND = 5


class GapCause(IntEnum):
    """Why messages are not to be had."""

    LAPPED = 1
    RETENTION = 2
    CORRUPT = 3
    LOST = 4


class OyezError(Exception):
    """What a call was answered. `code` is one of oyez.h, `name` what it is called there, the text says what to do."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.name: str = _c.oyez_strerror(code).decode().split(":")[0]

    @property
    def is_retriable(self) -> bool:
        """Whether the same call may succeed later, with nothing changed here."""
        return bool(_c.oyez_is_retriable(self.code))

    @property
    def is_fatal(self) -> bool:
        """Whether the publisher or subscriber is of no more use: close it and open another."""
        return bool(_c.oyez_is_fatal(self.code))


class Subscription(NamedTuple):
    """One topic to be read, one of its partitions or ALL_PARTITIONS, and from where."""

    topic: str
    start: Start = Start.LIVE
    at: int = 0
    epoch: int = 0
    partition: int = 0


class Published(NamedTuple):
    """A message that is out. (epoch, sequence) names it for ever; `position` is the end of its frame."""

    epoch: int
    sequence: int
    position: int
    time_ns: int


class Accepted(NamedTuple):
    """How far the broker has taken what was handed in under a name: `number` is the publisher's own, the rest where it is."""

    number: int
    epoch: int
    sequence: int
    position: int


class Event(NamedTuple):
    """Something that happened in a topic; `kind` is a plain number where this package does not know it."""

    kind: int
    topic: int
    partition: int
    epoch: int
    sequence: int
    to_sequence: int
    position: int
    time_ns: int
    schema_id: int
    template_id: int
    schema_version: int
    cause: int
    data: memoryview
    publisher: int = 0
    number: int = 0


class Progress(NamedTuple):
    """How far a topic was read: go on with Start.RESUME at (epoch, next_sequence), where that is known."""

    epoch: int
    next_sequence: Optional[int]
    reads_ring: bool


class Lag(NamedTuple):
    """How far behind the newest message: messages not handed out yet, and the newest one's publish time."""

    messages: int
    newest_ns: int


class TopicInfo(NamedTuple):
    """A topic as it is declared and as it stands."""

    partitions: int
    durability: Durability
    ring_bytes: int
    message_bytes_max: int
    retention_h: int
    schema: str
    schema_id: int
    schema_version_min: int
    schema_version_max: int
    may_publish: bool
    may_subscribe: bool
    state: str
    owner: str
    owner_pid: int
    owner_uid: int
    earliest: int
    written: int
    durable: int


class PublisherCounts(NamedTuple):
    """What a publisher did since it was opened."""

    messages: int
    message_bytes: int
    back_pressured: int
    refused: int


class SubscriberCounts(NamedTuple):
    """What a subscriber took since it was opened."""

    messages: int
    message_bytes: int
    gaps: int
    missing: int
    lapped: int
    rewound: int


def version() -> str:
    """Version and commit of the library."""
    text: bytes = _c.oyez_version_string()
    return text.decode()


def _check(answer: int) -> int:
    if answer >= 0:
        return answer
    text = ctypes.create_string_buffer(_c.oyez_last_error(None, None, 0) + 1)
    _c.oyez_last_error(None, text, len(text))
    raise OyezError(answer, text.value.decode())


def _number(value: int, bits: int) -> int:
    """For C, which would take it modulo its width."""
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{value} is out of range; take 0 to {(1 << bits) - 1}")
    return value


def partition_of(key: Buffer, partitions: int) -> int:
    """The partition of a key, in a topic of so many: XXH64 with seed 0, modulo `partitions`."""
    whole = bytes(memoryview(key))
    return _check(_c.oyez_partition_of(whole, len(whole), _number(partitions, 16)))


def _nanoseconds(seconds: float) -> int:
    return int(max(0.0, min(seconds, 9e9)) * 1e9)


_Self = TypeVar("_Self", bound="_Handle")


class _Handle:
    """A handle of the library; closed with its `with`, or by `close`, or when it is forgotten."""

    _close: Callable[..., int]

    def __init__(self) -> None:
        self._handle = ctypes.c_void_p()

    def close(self) -> None:
        """Closes it; nothing where it is closed."""
        _check(self._close(ctypes.byref(self._handle)))

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._close(ctypes.byref(self._handle))


class _Config(_Handle):
    _close = _c.oyez_config_free


class Client(_Handle):
    """A connection to a broker, or with `in_process` a bus of these topics within this process, for unit tests."""

    _close = _c.oyez_client_close

    def __init__(
        self,
        socket: Optional[str] = None,
        *,
        in_process: Sequence[str] = (),
        name: Optional[str] = None,
        timeout: Optional[float] = None,
        config_file: Optional[str] = None,
    ) -> None:
        super().__init__()
        with _Config() as config:
            _check(_c.oyez_config_new(c.ABI_VERSION, ctypes.byref(config._handle)))
            if config_file is not None:
                _check(_c.oyez_config_load_file(config._handle, config_file.encode()))
            for key, value in (
                ("socket", socket),
                ("name", name),
                ("in_process", ",".join(in_process) or None),
                ("timeout_ms", None if timeout is None else str(round(timeout * 1000))),
            ):
                if value is not None:
                    _check(_c.oyez_config_set(config._handle, key.encode(), value.encode()))
            _check(_c.oyez_client_open(config._handle, ctypes.byref(self._handle)))

    def describe(self, topic: str, partition: int = 0) -> TopicInfo:
        """A topic as it is declared and as one of its partitions stands."""
        info = c.TopicInfo(struct_size=ctypes.sizeof(c.TopicInfo))
        _check(_c.oyez_client_describe(self._handle, topic.encode(), _number(partition, 16), info))
        return TopicInfo(
            partitions=info.partitions,
            durability=Durability(info.durability),
            ring_bytes=info.ring_bytes,
            message_bytes_max=info.message_bytes_max,
            retention_h=info.retention_h,
            schema=info.schema.decode(),
            schema_id=info.schema_id,
            schema_version_min=info.schema_version_min,
            schema_version_max=info.schema_version_max,
            may_publish=bool(info.may_publish),
            may_subscribe=bool(info.may_subscribe),
            state=info.state.decode(),
            owner=info.owner.decode(),
            owner_pid=info.owner_pid,
            owner_uid=info.owner_uid,
            earliest=info.earliest,
            written=info.written,
            durable=info.durable,
        )

    def publisher(self, topic: str, partition: int = 0, *, wait: float = 0.0) -> Publisher:
        """Becomes the owner of a partition; where it has another, stands by for `wait` seconds."""
        return Publisher(self, topic, partition, wait)

    def keyed_publisher(
        self, topic: str, partitions: Optional[Iterable[int]] = None, *, wait: float = 0.0
    ) -> KeyedPublisher:
        """Becomes the owner of these partitions, all of them unless said, or of none; stands by for `wait` seconds."""
        return KeyedPublisher(self, topic, partitions, wait)

    def ingress(self, topic: str, origin: str, partition: int = 0, *, wait: float = 0.0) -> Ingress:
        """Hands in under this name; while it has another session, waits for `wait` seconds."""
        return Ingress(self, topic, origin, partition, wait)

    def subscriber(
        self,
        *topics: Union[str, Subscription],
        durability: Durability = Durability.PUBLISHED,
        batch_bytes: int = 0,
    ) -> Subscriber:
        """Reads these topics: by name, live, or as a Subscription says."""
        return Subscriber(self, topics, durability, batch_bytes)


class Publisher(_Handle):
    """The owner of one partition."""

    _close = _c.oyez_publisher_close

    def __init__(self, client: Client, topic: str, partition: int, wait: float) -> None:
        super().__init__()
        options = c.PublisherOptions(struct_size=ctypes.sizeof(c.PublisherOptions), wait_ns=_nanoseconds(wait))
        handle = ctypes.byref(self._handle)
        _check(_c.oyez_publisher_open(client._handle, topic.encode(), _number(partition, 16), options, handle))
        self._published = c.Published(struct_size=ctypes.sizeof(c.Published))
        # What was handed out of the library's memory, and may still be looked at.
        self._claimed: list[weakref.ref[ctypes.Array[ctypes.c_uint8]]] = []

    def close(self) -> None:
        """Closes it; nothing where it is closed. BufferError where claimed memory is still looked at: `release` the view."""
        if any(memory() is not None for memory in self._claimed):
            raise BufferError("a view of claimed memory is still there; release it, or let it go, before closing")
        super().close()

    def offer(self, message: Buffer) -> Optional[Published]:
        """Publishes a copy: SBE message header and body. None: back-pressured, nothing was published, try again."""
        whole = bytes(memoryview(message))
        return self._outcome(_c.oyez_publisher_offer(self._handle, whole, len(whole), self._published))

    def offer_parts(self, *parts: Buffer) -> Optional[Published]:
        """As `offer`, of parts one behind the other."""
        views = [memoryview(part) for part in parts]
        kept = [(ctypes.c_char * view.nbytes).from_buffer_copy(view) for view in views]
        given = (c.Part * len(kept))(*[c.Part(ctypes.addressof(part), len(part)) for part in kept])
        return self._outcome(_c.oyez_publisher_offerv(self._handle, given, len(given), self._published))

    def claim(self, len_bytes: int) -> memoryview:
        """Memory for a message, to be filled and then committed. It must not be touched after that."""
        place = ctypes.c_void_p()
        _check(_c.oyez_publisher_claim(self._handle, _number(len_bytes, 64), ctypes.byref(place)))
        memory = (ctypes.c_uint8 * len_bytes).from_address(place.value or 0)
        memory._publisher = self  # type: ignore[attr-defined]  # whose memory it is, and which goes with it
        self._claimed = [old for old in self._claimed if old() is not None] + [weakref.ref(memory)]
        return memoryview(memory).cast("B")

    def commit(self) -> Optional[Published]:
        """Publishes what was claimed. None: back-pressured, commit again."""
        return self._outcome(_c.oyez_publisher_commit(self._handle, self._published))

    def abort(self) -> None:
        """Gives a claim up."""
        _check(_c.oyez_publisher_abort(self._handle))

    def position(self, durability: Durability = Durability.PUBLISHED) -> int:
        """Up to where the partition has come so far."""
        position = ctypes.c_uint64()
        _check(_c.oyez_publisher_position(self._handle, durability, position))
        return position.value

    def wait(self, position: int, durability: Durability, timeout: float) -> None:
        """Waits until everything below `position` has come so far."""
        _check(_c.oyez_publisher_wait(self._handle, _number(position, 64), durability, _nanoseconds(timeout)))

    @property
    def next_sequence(self) -> int:
        """The number that the next message gets."""
        sequence = ctypes.c_uint64()
        _check(_c.oyez_publisher_next_sequence(self._handle, sequence))
        return sequence.value

    def stats(self) -> PublisherCounts:
        """What it did since it was opened."""
        counts = c.PublisherCounts(struct_size=ctypes.sizeof(c.PublisherCounts))
        _check(_c.oyez_publisher_stats(self._handle, counts))
        return PublisherCounts(*(getattr(counts, field) for field in PublisherCounts._fields))

    def _outcome(self, answer: int) -> Optional[Published]:
        if answer == c.BACK_PRESSURED:
            return None
        _check(answer)
        out = self._published
        return Published(out.epoch, out.sequence, out.position, out.time_ns)


class KeyedPublisher:
    """Owns some or all partitions of a topic, and publishes each message to the partition of its key.

    `publishers` has them by partition: to wait for what one published, to give one up, or to put another in its place.
    """

    def __init__(self, client: Client, topic: str, partitions: Optional[Iterable[int]], wait: float) -> None:
        self.topic = topic
        self.partitions = client.describe(topic).partitions
        self.publishers: dict[int, Publisher] = {}
        deadline = time.monotonic() + wait
        try:
            # In ascending order: two who wait for the same ones never wait for each other.
            for partition in range(self.partitions) if partitions is None else sorted(set(partitions)):
                left = max(0.0, deadline - time.monotonic())
                self.publishers[partition] = client.publisher(topic, partition, wait=left)
        except BaseException:
            self.close()
            raise

    def offer(self, key: Buffer, message: Buffer) -> Optional[Published]:
        """As `Publisher.offer`, to the partition of `key`; what befalls that one leaves the others as they are."""
        return self.of_key(key).offer(message)

    def of_key(self, key: Buffer) -> Publisher:
        """The publisher that a key belongs to. KeyError where its partition is not owned here."""
        partition = partition_of(key, self.partitions)
        if partition not in self.publishers:
            what = "not owned here; hand messages of such keys to its owner, or open it too"
            raise KeyError(f"topic {self.topic}, partition {partition}: {what}")
        return self.publishers[partition]

    def close(self) -> None:
        """Closes them all; those that raise stay, and the first of their errors comes out."""
        errors: list[Exception] = []
        for partition, publisher in list(self.publishers.items()):
            try:
                publisher.close()
                del self.publishers[partition]
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def __enter__(self) -> KeyedPublisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Ingress(_Handle):
    """One of many publishers of a topic. `wait` for the last number before closing, which raises where not all is accepted."""

    _close = _c.oyez_ingress_close

    def __init__(self, client: Client, topic: str, origin: str, partition: int, wait: float) -> None:
        super().__init__()
        options = c.PublisherOptions(struct_size=ctypes.sizeof(c.PublisherOptions), wait_ns=_nanoseconds(wait))
        names, place = (topic.encode(), _number(partition, 16), origin.encode()), ctypes.byref(self._handle)
        _check(_c.oyez_ingress_open(client._handle, *names, options, place))
        self._accepted = c.Accepted(struct_size=ctypes.sizeof(c.Accepted))

    def offer(self, message: Buffer) -> Optional[int]:
        """Hands in a copy; its own number of it. None: back-pressured, nothing was handed in, try again."""
        whole, number = bytes(memoryview(message)), ctypes.c_uint64()
        answer = _c.oyez_ingress_offer(self._handle, whole, len(whole), number)
        if answer == c.BACK_PRESSURED:
            return None
        _check(answer)
        return number.value

    @property
    def accepted(self) -> Accepted:
        """How far the broker has taken what was handed in, by this or before it."""
        _check(_c.oyez_ingress_accepted(self._handle, self._accepted))
        return self._told()

    def wait(self, number: int, durability: Durability, timeout: float) -> Accepted:
        """Waits until the message of this number is accepted, and has come so far."""
        given = _number(number, 64), durability, _nanoseconds(timeout)
        _check(_c.oyez_ingress_wait(self._handle, *given, self._accepted))
        return self._told()

    def _told(self) -> Accepted:
        out = self._accepted
        return Accepted(out.number, out.epoch, out.sequence, out.position)


class Batch:
    """Events, and the bytes of their messages, one behind the other in `data`.

    `table` has them as oyez_event, 96 bytes each, for numpy.frombuffer(batch.table, dtype=Batch.DTYPE); there `bytes`
    less `base` is where a message begins in `data`.
    """

    DTYPE = [
        ("struct_size", "<u4"), ("kind", "<i4"), ("topic", "<u4"), ("epoch", "<u4"), ("sequence", "<u8"),
        ("to_sequence", "<u8"), ("position", "<u8"), ("time_ns", "<u8"), ("bytes", "<u8"), ("len_bytes", "<u8"),
        ("partition", "<u2"), ("schema_id", "<u2"), ("template_id", "<u2"), ("schema_version", "<u2"),
        ("cause", "<i4"), ("reserved", "<u4"), ("number", "<u8"), ("publisher", "<u4"), ("reserved_2", "<u4"),
    ]  # fmt: skip
    _EVENT = struct.Struct("<IiIIQQQQQQHHHHiIQII")

    def __init__(self, table: bytes, base: int, data: bytes) -> None:
        self.table = table
        self.base = base
        self.data = data

    def __len__(self) -> int:
        return len(self.table) // self._EVENT.size

    def __iter__(self) -> Iterator[Event]:
        data, base = memoryview(self.data), self.base
        for (
            _, kind, topic, epoch, sequence, to_sequence, position, time_ns, address, len_bytes,
            partition, schema_id, template_id, schema_version, cause, _, number, publisher, _,
        ) in self._EVENT.iter_unpack(self.table):  # fmt: skip
            start = address - base if len_bytes else 0
            yield Event(
                _KINDS.get(kind, kind), topic, partition, epoch, sequence, to_sequence, position, time_ns,
                schema_id, template_id, schema_version, cause, data[start : start + len_bytes], publisher, number,
            )  # fmt: skip


_KINDS = {kind.value: kind for kind in Kind}


class Subscriber(_Handle):
    """Reads topics. Iterating gives what is there now, batch by batch, and ends when nothing more is."""

    _close = _c.oyez_subscriber_close
    _BATCH = 1024

    def __init__(
        self, client: Client, topics: Sequence[Union[str, Subscription]], durability: Durability, batch_bytes: int
    ) -> None:
        super().__init__()
        wanted = [Subscription(topic) if isinstance(topic, str) else topic for topic in topics]
        size = ctypes.sizeof(c.Subscription)
        given = (c.Subscription * len(wanted))(
            *[
                c.Subscription(
                    size, one.start, one.topic.encode(), _number(one.at, 64), _number(one.epoch, 32),
                    _number(one.partition, 16), 0,
                )
                for one in wanted
            ]
        )  # fmt: skip
        options = c.SubscriberOptions(ctypes.sizeof(c.SubscriberOptions), durability, _number(batch_bytes, 64))
        handle = ctypes.byref(self._handle)
        _check(_c.oyez_subscriber_open(client._handle, given, len(given), options, handle))
        self._events = (c.Event * self._BATCH)()

    def next_batch(self, limit: int = _BATCH) -> Batch:
        """Up to `limit` events, at most 1,024; none when nothing is there now."""
        self._events[0].struct_size = ctypes.sizeof(c.Event)
        limit = min(_number(limit, 64), self._BATCH)
        count = _check(_c.oyez_subscriber_next_batch(self._handle, self._events, limit))
        table = bytes(memoryview(self._events).cast("B")[: count * ctypes.sizeof(c.Event)])
        first = next((event for event in map(self._events.__getitem__, range(count)) if event.len_bytes), None)
        if first is None:
            return Batch(table, 0, b"")
        last = next(event for event in map(self._events.__getitem__, range(count - 1, -1, -1)) if event.len_bytes)
        return Batch(table, first.bytes, ctypes.string_at(first.bytes, last.bytes + last.len_bytes - first.bytes))

    def __iter__(self) -> Iterator[Event]:
        while batch := self.next_batch():
            yield from batch

    def wait(self, timeout: float) -> bool:
        """Sleeps until a poll may bring something, at most `timeout` seconds; False where that time is over."""
        return bool(_check(_c.oyez_subscriber_wait(self._handle, _nanoseconds(timeout))))

    def fileno(self) -> int:
        """For a loop of one's own: readable when a poll may bring something, from one `arm` to the next."""
        return _check(_c.oyez_subscriber_fd(self._handle))

    def arm(self) -> bool:
        """Before each sleep on `fileno`; True: poll now, and do not sleep."""
        return bool(_check(_c.oyez_subscriber_arm(self._handle)))

    async def ready(self) -> None:
        """In asyncio: returns when a poll may bring something."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        if self.arm():
            return
        loop.add_reader(self.fileno(), woken.set)
        try:
            await woken.wait()
        finally:
            loop.remove_reader(self.fileno())

    def seek(self, topic: int, start: Start, at: int = 0, epoch: int = 0) -> None:
        """Goes elsewhere in one topic."""
        numbers = _number(topic, 32), start, _number(epoch, 32), _number(at, 64)
        _check(_c.oyez_subscriber_seek(self._handle, *numbers))

    @property
    def failed(self) -> Optional[int]:
        """Which topic the last error of a batch speaks of; None where there was none, or `seek` mended it."""
        topic = ctypes.c_uint32()
        return topic.value if _check(_c.oyez_subscriber_failed(self._handle, topic)) else None

    def progress(self, topic: int = 0) -> Progress:
        """How far one topic was read."""
        told = c.Progress(struct_size=ctypes.sizeof(c.Progress))
        _check(_c.oyez_subscriber_progress(self._handle, _number(topic, 32), told))
        return Progress(told.epoch, told.next_sequence if told.is_known else None, bool(told.reads_ring))

    def lag(self, topic: int = 0) -> Optional[Lag]:
        """How far behind the newest message of one topic it is; None where that is not known."""
        told = c.Lag(struct_size=ctypes.sizeof(c.Lag))
        _check(_c.oyez_subscriber_lag(self._handle, _number(topic, 32), told))
        return Lag(told.messages, told.newest_ns) if told.is_known else None

    def stats(self) -> SubscriberCounts:
        """What it took since it was opened."""
        counts = c.SubscriberCounts(struct_size=ctypes.sizeof(c.SubscriberCounts))
        _check(_c.oyez_subscriber_stats(self._handle, counts))
        return SubscriberCounts(*(getattr(counts, field) for field in SubscriberCounts._fields))
