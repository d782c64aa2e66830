#!/usr/bin/env python3
"""Prints every committed record of a lane's Kafka topic, read by a client that is not Oyez's.

    read_committed.py BOOTSTRAP TOPIC [--bytes]

One line a record, in the topic's order: sequence, epoch, publish time in nanoseconds, length, and the SHA-256 of the
message (with --bytes the message itself, in hexadecimal). The record's form is that of docs/formats/lane.md. Ends at
the end of the topic's one partition; exit code 1 and a line on standard error if anything is amiss.
"""
import argparse
import hashlib
import struct
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, OFFSET_BEGINNING, TopicPartition

PATIENCE_S = 30


def committed(bootstrap, topic):
    """Yields the records of partition 0, from the first that retention has left to the last stable offset."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "oyez-read-committed",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
    })
    try:
        found = consumer.list_topics(topic, PATIENCE_S).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        if len(found.partitions) != 1:
            raise ValueError(f"{topic}: {len(found.partitions)} partitions, a lane's topic has one")
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        while True:
            record = consumer.poll(PATIENCE_S)
            if record is None:
                raise TimeoutError(f"{bootstrap}: nothing came for {PATIENCE_S} s")
            if record.error() is None:
                yield record
            elif record.error().code() == KafkaError._PARTITION_EOF:
                return
            else:
                raise KafkaException(record.error())
    finally:
        consumer.close()


def fields(record):
    """Sequence, epoch and publish time of a record."""
    headers = dict(record.headers() or [])
    try:
        (sequence,) = struct.unpack(">Q", record.key())
        (epoch,) = struct.unpack(">I", headers["e"])
        (time_ns,) = struct.unpack(">Q", headers["t"])
    except (KeyError, TypeError, struct.error) as error:
        raise ValueError(f"{record.topic()}: the record at offset {record.offset()} is not a lane's: {error!r}") from None
    return sequence, epoch, time_ns


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("--bytes", action="store_true", help="the message in hexadecimal, not its SHA-256")
    arguments = parser.parse_args()
    try:
        for record in committed(arguments.bootstrap, arguments.topic):
            message = record.value()
            shown = message.hex() if arguments.bytes else hashlib.sha256(message).hexdigest()
            print(*fields(record), len(message), shown)
    except (KafkaException, ValueError, TimeoutError) as error:
        sys.exit(f"read_committed.py: {error}")


main()
