#!/usr/bin/env python3
"""Reads a partition's folder, checks every slot and every byte, and prints count, sequences and digest.

Written from docs/formats alone; standard library only.   usage: read_journal.py <data>/<topic>/<partition>
Exit 0: all is well; 1: something is damaged (told on stderr); 2: no journal there.
"""
import hashlib, os, struct, sys

BLOCK, PLACE, RUN, MESSAGE, FRAGMENT, PADDING = 65536, 4096, 65536, 1, 2, 3
FIRST, LAST, ORIGIN = 1, 2, 4
unpack = struct.unpack_from


def crc_tables():
    byte = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        byte.append(n)
    one = [byte[n & 255] ^ n >> 8 for n in range(65536)]
    return byte, [byte[c & 255] ^ c >> 8 for c in one]


BYTE, PAIR = crc_tables()


def crc32c(data):
    crc, pair, even = 0xFFFFFFFF, PAIR, len(data) & ~1
    for two in memoryview(data)[:even].cast("H"):  # two bytes a step, as a little-endian machine sees them
        crc = crc >> 16 ^ pair[crc & 0xFFFF ^ two]
    for one in data[even:]:
        crc = crc >> 8 ^ BYTE[crc & 0xFF ^ one]
    return crc ^ 0xFFFFFFFF


class Journal:
    def __init__(self, folder):
        self.folder, self.damaged, self.epochs, self.next = folder, False, [], None
        self.count, self.first, self.last = 0, None, None
        self.epoch, self.under_way, self.parts = 0, 0, None  # of a message: bytes so far; parts, if it began here
        self.digest, self.run, self.run_number = bytes(32), hashlib.sha256(), None
        head = self.read("journal")
        if len(head) != 64 or head[:8] != b"OYEZJRNL" or crc32c(head[:60]) != unpack("<I", head, 60)[0]:
            raise OSError("journal: no journal, or damaged")
        self.id, self.segment_bytes = unpack("<QQ", head, 16)
        entries = self.read("epochs")
        for at in range(0, len(entries) - 63, 64):
            entry = entries[at : at + 64]
            if crc32c(struct.pack("<QQ", self.id, at // 64) + entry[:60]) != unpack("<I", entry, 60)[0]:
                if at + 64 < len(entries):  # the last one may be torn
                    self.damage("epochs: entry %d" % (at // 64))
                break
            kind, epoch, position, _, _, previous_end = unpack("<IIQQQQ", entry)
            if kind == 1:
                self.epochs.append((epoch, position, previous_end))

    def read(self, name, offset=0):
        with open(os.path.join(self.folder, name), "rb") as file:
            file.seek(offset)
            return file.read()

    def damage(self, what):
        self.damaged = True
        print("DAMAGED", what, file=sys.stderr)

    def owner(self, position):
        """The epoch that owns a position, and where it ended."""
        end = 1 << 64
        for epoch, start, previous_end in reversed(self.epochs):
            if start <= position:
                return epoch, end
            end = previous_end
        return 0, 0

    def index(self, base):
        """The slots of a segment by block, the furthest first; and what is wrong with them."""
        data, blocks, wrong = self.read("%020d.segment" % base, self.segment_bytes), {}, []
        if unpack("<8s8xQQQ", data) != (b"OYEZSEG\0", self.id, base, self.segment_bytes) or crc32c(data[:60]) != unpack("<I", data, 60)[0]:
            wrong.append("header of segment %d" % base)
        places = [(PLACE * n, None) for n in (1, 2, 3)]
        for at, where in places + [(4 * PLACE + 64 * n, base + BLOCK * n) for n in range(self.segment_bytes // BLOCK)]:
            raw = data[at : at + 64]
            if raw == bytes(64):
                continue
            end, first, following, _, _, durable, epoch, crc, _, own_crc = unpack("<QQQQQQIIII", raw)
            block = max(end - 1, 0) // BLOCK * BLOCK
            here = block == where or where is None and block - block % self.segment_bytes == base
            if not here or crc32c(struct.pack("<QQI", self.id, block, epoch) + raw[:60]) != own_crc:
                wrong.append("slot at %d of segment %d" % (self.segment_bytes + at, base))
            elif epoch == self.owner(block)[0] and end <= self.owner(block)[1]:
                blocks.setdefault(block, []).append((end, first, following, durable, epoch, crc))
        return {block: sorted(slots, reverse=True) for block, slots in blocks.items()}, wrong

    def walk(self):
        bases = sorted(int(name[:20]) for name in os.listdir(self.folder) if name.endswith(".segment"))
        indexes = {base: self.index(base) for base in bases}
        slots = {block: slots for blocks, _ in indexes.values() for block, slots in blocks.items()}
        last = max(slots, default=-1)
        durable = max((slot[3] for of_block in slots.values() for slot in of_block), default=0)
        for base in range(bases[0] if slots else 0, last + 1, self.segment_bytes):
            for what in indexes[base][1] if base in indexes else ["segment %d is missing" % base]:
                self.damage(what)
            data = open(os.path.join(self.folder, "%020d.segment" % base), "rb") if base in indexes else None
            for block in range(base, min(base + self.segment_bytes, last + 1), BLOCK):
                expected = min(block + BLOCK, self.owner(block)[1]) if block < last else slots[block][0][0]
                sound = self.block(block, data.read(BLOCK) if data else b"", slots.get(block, []))
                if sound < expected and durable <= sound:
                    return print("torn tail: written to", slots[last][0][0], "and whole to", sound, file=sys.stderr)
                if sound < expected:
                    self.damage("positions %d to %d" % (sound, expected))
                    self.next = None

    def block(self, block, data, slots):
        """Takes the frames of the furthest slot that verifies; how far that is."""
        for end, first, following, _, epoch, crc in slots:
            body = data[: end - block]
            if crc32c(struct.pack("<QQI", self.id, block, epoch) + body) == crc:
                opening = unpack("<QQII", body, 16)
                if self.next is None or self.epoch != epoch:  # what was under way has no end, what goes on here no beginning
                    self.epoch, self.under_way, self.parts = epoch, opening[3], None
                if self.next not in (None, first) or opening != (block, first, epoch, self.under_way):
                    self.damage("block at %d does not continue" % block)
                self.next = self.frames(block, body, first)
                if self.next != following:
                    self.damage("count of the block at %d" % block)
                return end
        return block

    def frames(self, block, body, sequence):
        at, padded = 0, body + bytes(8)  # padding may be a bare commit word, without a time
        while at < len(body):
            word, time = unpack("<QQ", padded, at)
            length, kind = word & 0xFFFFFFFF, word >> 32 & 0xFF
            if length < (8 if kind == PADDING else 16) or at + length > len(body) or word >> 48 != sequence & 0xFFFF:
                self.damage("frame at %d" % (block + at))
                break
            payload, is_first, is_last = body[at + 16 : at + length], word >> 40 & FIRST, word >> 40 & LAST
            if at and (self.under_way > 0) != (kind == FRAGMENT and not is_first):
                self.damage("message that is under way at %d" % (block + at))
                break
            origin = 8 if word >> 40 & ORIGIN and (kind == MESSAGE or is_first) else 0  # before the message, and no part of it
            if kind == MESSAGE:
                self.message(sequence, time, payload[origin:])
                sequence += 1
            if kind == FRAGMENT:
                self.under_way, self.parts = self.under_way + len(payload), [] if is_first else self.parts
                if self.parts is not None:
                    self.parts.append(payload[origin:])
                if is_last and self.parts is not None:
                    self.message(sequence, time, b"".join(self.parts))
                if is_last:
                    self.under_way, self.parts, sequence = 0, None, sequence + 1
            at += length + 7 & ~7
        return sequence

    def message(self, sequence, time, body):
        if self.run_number != sequence // RUN:
            self.close_run()
            self.run_number = sequence // RUN
        self.run.update(struct.pack("<QQI", sequence, time, len(body)) + body)
        self.count, self.last = self.count + 1, sequence
        self.first = sequence if self.first is None else self.first

    def close_run(self):
        if self.run_number is not None:
            self.digest = hashlib.sha256(self.digest + self.run.digest()).digest()
        self.run, self.run_number = hashlib.sha256(), None


if __name__ == "__main__":
    try:
        journal = Journal(sys.argv[1])
    except (IndexError, OSError) as error:
        print(__doc__, error, sep="\n", file=sys.stderr)
        sys.exit(2)
    journal.walk()
    journal.close_run()
    print("messages %d first %s last %s digest %s" % (journal.count, journal.first, journal.last, journal.digest.hex()))
    sys.exit(1 if journal.damaged else 0)
