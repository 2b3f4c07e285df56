"""A whole leased on a disk that fails: libdiskfault.so in front of libc, steered while it runs (diskfault.h)."""

import contextlib
import errno
import mmap
import os
import pathlib
import struct
import tempfile

from daemon import BUILD

SYNC, WRITE, RESIZE, READ = 1, 2, 4, 8
FOR_EVER = 0xFFFFFFFF
FORMAT = struct.Struct("=IiIIQII")  # struct diskfault


class DiskFaults:
    """env: of a Leased that is to run on it. Faults strike from fail() to heal()."""

    def __init__(self):
        library = BUILD / "support" / "libdiskfault.so"
        assert library.exists(), f"{library} is missing: this preset cannot be run on a disk that fails"
        handle, name = tempfile.mkstemp(prefix="leased-diskfault-", dir="/tmp")
        self.path = pathlib.Path(name)
        os.write(handle, bytes(4096))
        self.page = mmap.mmap(handle, 4096)
        os.close(handle)
        self.env = {"LD_PRELOAD": str(library), "LEASED_DISKFAULT": name}

    def fail(self, calls, error=errno.EIO, path=None, after=0, times=FOR_EVER):
        """path: of that file alone, as it is now."""
        inode = os.stat(path).st_ino if path is not None else 0
        packed = FORMAT.pack(0, error, after, times, inode, 0, 0)
        self.page[4:FORMAT.size] = packed[4:]
        self.page[:4] = struct.pack("=I", calls)  # last: from here on it strikes

    def heal(self):
        self.page[:4] = bytes(4)

    @property
    def failed(self):
        """How many calls have."""
        return FORMAT.unpack(self.page[: FORMAT.size])[5]

    def close(self):
        self.page.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
