"""Looks for secrets in the memory of a running process, as whoever had its core file would."""

import pathlib
import re

CHUNK = 1 << 20


class Area:
    """One mapping: what /proc/PID/smaps says of it."""

    def __init__(self, line):
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$", line)
        self.start, self.end = int(found[1], 16), int(found[2], 16)
        self.rights, self.name = found[3], found[4]
        self.flags = set()

    @property
    def is_locked(self):
        """The heap of secrets: locked, and left out of dumps."""
        return {"lo", "dd"} <= self.flags

    def __str__(self):
        return f"{self.start:x}-{self.end:x} {self.rights} {self.name or 'anonymous'}"


def areas(pid):
    found = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            found.append(Area(line))
        elif line.startswith("VmFlags:"):
            found[-1].flags = set(line.split()[1:])
    return found


def read_area(memory, area):
    """Its bytes as far as they can be read, with nothing lost between two reads."""
    data = bytearray()
    at = area.start
    while at < area.end:
        try:
            memory.seek(at)
            piece = memory.read(min(CHUNK, area.end - at))
        except OSError:
            break
        if not piece:
            break
        data += piece
        at += len(piece)
    return bytes(data)


def scan(pid, secrets):
    """
    Where the secrets ({name: text}) stand in what pid can write to: lines for people. What is in the locked heap is not
    looked at.
    """
    hits = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for area in areas(pid):
            if "w" not in area.rights or area.is_locked or area.name in ("[vvar]", "[vsyscall]"):
                continue
            data = read_area(memory, area)
            for name, text in secrets.items():
                for match in re.finditer(re.escape(text.encode()), data):
                    around = data[max(0, match.start() - 48):match.end() + 48]
                    hits.append(f"pid {pid}: {name} at {area.start + match.start():x} in {area}: {around!r}")
    return hits
