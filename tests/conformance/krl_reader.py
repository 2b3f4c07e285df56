"""A reader of OpenSSH's key revocation lists, written from PROTOCOL.krl and from nothing else."""

from ssh_files import strings


class Bytes:
    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, length):
        assert self.at + length <= len(self.content), "cut"
        self.at += length
        return self.content[self.at - length:self.at]

    def number(self, length):
        return int.from_bytes(self.take(length), "big")

    def string(self):
        return self.take(self.number(4))

    @property
    def left(self):
        return len(self.content) - self.at


def serials_of(kind, section):
    if kind == 0x20:
        assert section.left % 8 == 0 and section.left > 0
        while section.left:
            yield section.number(8)
    elif kind == 0x21:
        low, high = section.number(8), section.number(8)
        assert low <= high
        yield from range(low, high + 1)
    elif kind == 0x22:
        offset, bits = section.number(8), section.string()
        assert bits and bits[0] < 0x80 and (bits[0] != 0 or bits[1] >= 0x80), "an mpint has one spelling"
        number = bin(int.from_bytes(bits, "big"))[:1:-1]
        yield from (offset + i for i, bit in enumerate(number) if bit == "1")
    else:
        raise AssertionError(f"section {kind:#x}")
    assert section.left == 0


def read(content):
    """{"version", "date", "comment", "cas": {ca blob: (serials in order, key ids)}, "hashes"}."""
    whole = Bytes(content)
    assert whole.take(8) == b"SSHKRL\n\0" and whole.number(4) == 1
    krl = {"version": whole.number(8), "date": whole.number(8), "cas": {}, "hashes": []}
    assert whole.number(8) == 0 and whole.string() == b""
    krl["comment"] = whole.string().decode()
    while whole.left:
        kind, body = whole.number(1), whole.string()
        if kind == 5:
            krl["hashes"] = list(strings(body))
            assert krl["hashes"] == sorted(set(krl["hashes"])) and {len(one) for one in krl["hashes"]} == {32}
            continue
        assert kind == 1, kind
        section = Bytes(body)
        ca, reserved = section.string(), section.string()
        assert reserved == b"" and section.left
        serials, key_ids = krl["cas"].setdefault(ca, ([], []))
        while section.left:
            kind, body = section.number(1), section.string()
            if kind == 0x23:
                key_ids += [one.decode() for one in strings(body)]
            else:
                serials += serials_of(kind, Bytes(body))
    return krl


def sections(content):
    """How many of each kind of section of serials, over all CAs."""
    counts = {0x20: 0, 0x21: 0, 0x22: 0}
    whole = Bytes(content)
    whole.take(8 + 4 + 8 + 8 + 8)
    whole.string(), whole.string()
    while whole.left:
        kind, body = whole.number(1), Bytes(whole.string())
        if kind == 1:
            body.string(), body.string()
            while body.left:
                sub, _ = body.number(1), body.string()
                counts[sub] = counts.get(sub, 0) + 1
    return counts


def distances(serials):
    """As the operation krl takes them."""
    return ",".join(str(after - before) for before, after in zip([0, *serials], serials))
