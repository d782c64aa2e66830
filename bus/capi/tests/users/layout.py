"""What the Python package takes for the header's structs and numbers, in lines as the C side writes them."""

import ctypes
import re

import oyez
from oyez import _library

for name, kind in vars(_library).items():
    if isinstance(kind, type) and issubclass(kind, ctypes.Structure) and kind is not ctypes.Structure:
        struct = "oyez" + re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)
        for field, *_ in kind._fields_:
            place = getattr(kind, field)
            print(struct, field, place.offset, place.size)
        print(struct, "sizeof", 0, ctypes.sizeof(kind))

for prefix, numbers in (
    ("OYEZ_", oyez.Durability),
    ("OYEZ_START_", oyez.Start),
    ("OYEZ_EVENT_", oyez.Kind),
    ("OYEZ_GAP_", oyez.GapCause),
):
    for number in numbers:
        print(f"{prefix}{number.name}", number.value)
print("OYEZ_ABI_VERSION", _library.ABI_VERSION)
print("OYEZ_OK", _library.OK)
print("OYEZ_ALL_PARTITIONS", _library.ALL_PARTITIONS)
print("OYEZ_ERR_BACK_PRESSURED", _library.BACK_PRESSURED)
