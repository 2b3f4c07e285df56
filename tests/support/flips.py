"""A store's file with bytes changed in it at random, while leased is stopped. A round is a function of its seed."""

import random
import shutil


class Flips:
    """Remembers the file as it was, so that the next round begins with a good one."""

    def __init__(self, database, seed):
        self.database = database
        self.rng = random.Random(seed)
        self.good = database.with_suffix(".good")
        shutil.copyfile(database, self.good)

    def flip(self, times):
        """Bits or whole bytes, any page; where, for a person who replays it."""
        data = bytearray(self.database.read_bytes())
        done = []
        for _ in range(times):
            at = self.rng.randrange(len(data))
            before = data[at]
            data[at] = before ^ (1 << self.rng.randrange(8)) if self.rng.random() < 0.5 else self.rng.randrange(256)
            done.append(f"{at}: {before:02x} to {data[at]:02x}")
        self.database.write_bytes(data)
        return ", ".join(done)

    def undo(self):
        for suffix in ("-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        self.database.write_bytes(self.good.read_bytes())
        self.database.with_name("suspect").unlink(missing_ok=True)
        self.good.unlink()
