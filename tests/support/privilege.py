"""What only root may do, for tests that are run by root or by somebody who has sudo: without either they fail, and say so."""

import array
import functools
import os
import shutil
import socket
import subprocess
import sys

WANTED = "this test needs root, or sudo without a password"


def as_root(command):
    """The command as root runs it."""
    if os.geteuid() == 0:
        return list(command)
    assert shutil.which("sudo"), f"{WANTED}; there is no sudo here"
    return ["sudo", "-n", "--", *command]


def read_as_root(path):
    done = subprocess.run(as_root(["cat", "--", str(path)]), capture_output=True)
    assert done.returncode == 0, f"{WANTED}: {done.stderr.decode(errors='replace')}"
    return done.stdout


def connect_as(path, uid, gid, groups=(), timeout=10):
    """
    A socket that was connected by a process of that user: what the kernel then says of the peer. The process opens the way
    to the socket in a private directory as root; the socket's own mode is asked of the user.
    """
    ours, theirs = socket.socketpair()
    words = [str(path), str(uid), str(gid), ",".join(map(str, groups)), str(timeout)]
    with ours:
        if os.geteuid() == 0:
            child = os.fork()
            if child == 0:
                ours.close()
                connect_and_exit(theirs, *words)
            wait = functools.partial(os.waitpid, child, 0)
        else:
            # sudo passes on no descriptors but the first three.
            wait = subprocess.Popen(as_root([sys.executable, __file__, *words]), stdin=theirs,
                                    stdout=subprocess.DEVNULL, stderr=theirs).wait
        theirs.close()
        text, ancillary, _, _ = ours.recvmsg(512, socket.CMSG_SPACE(4))
    wait()
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return socket.socket(fileno=array.array("i", data)[0])
    raise PermissionError(text.decode() or "the child could not connect")


def connect_and_exit(theirs, path, uid, gid, groups, timeout):
    status = 1
    try:
        handle = os.open(path, os.O_PATH)
        os.setgroups([int(group) for group in groups.split(",") if group])
        os.setresgid(int(gid), int(gid), int(gid))
        os.setresuid(int(uid), int(uid), int(uid))
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(float(timeout))
        sock.connect(f"/proc/self/fd/{handle}")
        fds = array.array("i", [sock.fileno()])
        theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        status = 0
    except OSError as error:
        theirs.sendall(str(error).encode())
    finally:
        os._exit(status)


if __name__ == "__main__":
    connect_and_exit(socket.socket(fileno=0), *sys.argv[1:])
