"""The C functions, structs and numbers of oyez.h, as ctypes sees them.

The library is liboyez.so.0, found as the system finds libraries, or the one that OYEZ_LIBRARY names.
"""

import ctypes
import os
from ctypes import POINTER, c_char, c_char_p, c_int32, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

ABI_VERSION = 1
OK = 0
BACK_PRESSURED = -12
ALL_PARTITIONS = 65535


class TopicInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("durability", c_int32),
        ("ring_bytes", c_uint64),
        ("message_bytes_max", c_uint64),
        ("earliest", c_uint64),
        ("written", c_uint64),
        ("durable", c_uint64),
        ("retention_h", c_uint32),
        ("owner_pid", c_uint32),
        ("owner_uid", c_uint32),
        ("partitions", c_uint16),
        ("schema_id", c_uint16),
        ("schema_version_min", c_uint16),
        ("schema_version_max", c_uint16),
        ("may_publish", c_int32),
        ("may_subscribe", c_int32),
        ("schema", c_char * 104),
        ("owner", c_char * 104),
        ("state", c_char * 36),
    ]


class PublisherOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("reserved", c_uint32), ("wait_ns", c_uint64)]


class Published(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("epoch", c_uint32),
        ("sequence", c_uint64),
        ("position", c_uint64),
        ("time_ns", c_uint64),
    ]


class Accepted(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("epoch", c_uint32),
        ("number", c_uint64),
        ("sequence", c_uint64),
        ("position", c_uint64),
    ]


class Part(ctypes.Structure):
    _fields_ = [("bytes", c_void_p), ("len_bytes", c_size_t)]


class PublisherCounts(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("reserved", c_uint32),
        ("messages", c_uint64),
        ("message_bytes", c_uint64),
        ("back_pressured", c_uint64),
        ("refused", c_uint64),
    ]


class Subscription(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("start", c_int32),
        ("topic", c_char_p),
        ("start_at", c_uint64),
        ("start_epoch", c_uint32),
        ("partition", c_uint16),
        ("reserved", c_uint16),
    ]


class SubscriberOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("durability", c_int32), ("batch_bytes", c_uint64)]


class Event(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("kind", c_int32),
        ("topic", c_uint32),
        ("epoch", c_uint32),
        ("sequence", c_uint64),
        ("to_sequence", c_uint64),
        ("position", c_uint64),
        ("time_ns", c_uint64),
        ("bytes", c_void_p),
        ("len_bytes", c_size_t),
        ("partition", c_uint16),
        ("schema_id", c_uint16),
        ("template_id", c_uint16),
        ("schema_version", c_uint16),
        ("cause", c_int32),
        ("reserved", c_uint32),
        ("number", c_uint64),
        ("publisher", c_uint32),
        ("reserved_2", c_uint32),
    ]


class Progress(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("epoch", c_uint32),
        ("next_sequence", c_uint64),
        ("is_known", c_int32),
        ("reads_ring", c_int32),
    ]


class Lag(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("is_known", c_int32), ("messages", c_uint64), ("newest_ns", c_uint64)]


class SubscriberCounts(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("reserved", c_uint32),
        ("messages", c_uint64),
        ("message_bytes", c_uint64),
        ("gaps", c_uint64),
        ("missing", c_uint64),
        ("lapped", c_uint64),
        ("rewound", c_uint64),
    ]


HANDLE = c_void_p
OUT = POINTER(c_void_p)

# What each function takes; what it gives is an int32_t but for the last two.
_TAKES = {
    "oyez_abi_version": [],
    "oyez_is_retriable": [c_int32],
    "oyez_is_fatal": [c_int32],
    "oyez_last_error": [POINTER(c_int32), c_char_p, c_size_t],
    "oyez_config_new": [c_uint32, OUT],
    "oyez_config_set": [HANDLE, c_char_p, c_char_p],
    "oyez_config_load_file": [HANDLE, c_char_p],
    "oyez_config_free": [OUT],
    "oyez_client_open": [HANDLE, OUT],
    "oyez_client_close": [OUT],
    "oyez_client_describe": [HANDLE, c_char_p, c_uint16, POINTER(TopicInfo)],
    "oyez_partition_of": [c_char_p, c_size_t, c_uint16],
    "oyez_publisher_open": [HANDLE, c_char_p, c_uint16, POINTER(PublisherOptions), OUT],
    "oyez_publisher_close": [OUT],
    "oyez_publisher_claim": [HANDLE, c_size_t, OUT],
    "oyez_publisher_commit": [HANDLE, POINTER(Published)],
    "oyez_publisher_abort": [HANDLE],
    "oyez_publisher_offer": [HANDLE, c_char_p, c_size_t, POINTER(Published)],
    "oyez_publisher_offerv": [HANDLE, POINTER(Part), c_size_t, POINTER(Published)],
    "oyez_publisher_position": [HANDLE, c_int32, POINTER(c_uint64)],
    "oyez_publisher_wait": [HANDLE, c_uint64, c_int32, c_uint64],
    "oyez_publisher_next_sequence": [HANDLE, POINTER(c_uint64)],
    "oyez_publisher_stats": [HANDLE, POINTER(PublisherCounts)],
    "oyez_ingress_open": [HANDLE, c_char_p, c_uint16, c_char_p, POINTER(PublisherOptions), OUT],
    "oyez_ingress_close": [OUT],
    "oyez_ingress_offer": [HANDLE, c_char_p, c_size_t, POINTER(c_uint64)],
    "oyez_ingress_accepted": [HANDLE, POINTER(Accepted)],
    "oyez_ingress_wait": [HANDLE, c_uint64, c_int32, c_uint64, POINTER(Accepted)],
    "oyez_subscriber_open": [HANDLE, POINTER(Subscription), c_size_t, POINTER(SubscriberOptions), OUT],
    "oyez_subscriber_close": [OUT],
    "oyez_subscriber_next_batch": [HANDLE, POINTER(Event), c_size_t],
    "oyez_subscriber_wait": [HANDLE, c_uint64],
    "oyez_subscriber_fd": [HANDLE],
    "oyez_subscriber_arm": [HANDLE],
    "oyez_subscriber_seek": [HANDLE, c_uint32, c_int32, c_uint32, c_uint64],
    "oyez_subscriber_failed": [HANDLE, POINTER(c_uint32)],
    "oyez_subscriber_progress": [HANDLE, c_uint32, POINTER(Progress)],
    "oyez_subscriber_lag": [HANDLE, c_uint32, POINTER(Lag)],
    "oyez_subscriber_stats": [HANDLE, POINTER(SubscriberCounts)],
    "oyez_version_string": [],
    "oyez_strerror": [c_int32],
}


def _load() -> ctypes.CDLL:
    named = os.environ.get("OYEZ_LIBRARY", "liboyez.so.0")
    if os.path.isdir(named):
        named = os.path.join(named, "liboyez.so.0")
    try:
        library = ctypes.CDLL(named)
    except OSError as error:
        raise ImportError(f"{error}; install liboyez, or name its liboyez.so.0, or the folder of it, in OYEZ_LIBRARY") from error
    for name, takes in _TAKES.items():
        function = getattr(library, name)
        function.argtypes = takes
        function.restype = c_char_p if name in ("oyez_version_string", "oyez_strerror") else c_int32
    library.oyez_abi_version.restype = c_uint32
    return library


library = _load()
