"""Servers that are no good: what a worker finds when it opens a connection to a backend that hangs, talks garbage or is slow.

    with BadBackend("hang") as backend:        # takes connections and never says a word
        backend.port
    BadBackend("garbage")                      # answers every connection with noise
    BadBackend("slow", target=(host, port))    # carries everything to a real server, half a second late each way
"""

import os
import socket
import threading
import time

SLOW_S = 0.5


class BadBackend:
    def __init__(self, kind, target=None):
        assert kind in ("hang", "garbage", "slow") and (kind == "slow") == (target is not None)
        self.kind, self.target = kind, target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._sockets = []
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._closing = True
        for sock in [self._listener] + self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _accept(self):
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(client)
            if self.kind == "garbage":
                threading.Thread(target=self._garble, args=(client,), daemon=True).start()
            elif self.kind == "slow":
                server = socket.create_connection(self.target)
                self._sockets.append(server)
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    @staticmethod
    def _garble(client):
        try:
            client.recv(4096)
            client.sendall(b"R" + os.urandom(4096))
            client.recv(4096)
            client.close()
        except OSError:
            pass

    @staticmethod
    def _carry(source, sink):
        try:
            while chunk := source.recv(65536):
                time.sleep(SLOW_S)
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            sink.close()
