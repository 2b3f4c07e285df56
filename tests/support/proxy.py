"""A TCP proxy that a test can hold back: between a worker and its PostgreSQL, to delay, cut or lose what goes through."""

import select
import socket
import threading
import time


class Proxy:
    """
    Listens on a free loopback port and carries every connection to target (host, port).

    delay(needle, seconds): from the first chunk of a client that holds these bytes on, what this client sends arrives so
    much later, also when the client is long dead: what a slow network does to a CREATE whose sender was killed.

    lose_answer(needle): the next chunk of a client that holds these bytes reaches the server, and what it answers reaches
    nobody: the connection of the client ends.
    """

    def __init__(self, target):
        self.target = target
        self.needle = None
        self.delay_s = 0.0
        self.delayed = threading.Event()
        self.delivered = threading.Event()
        self.losing = None
        self.lost = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._closing = False
        self._sockets = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def delay(self, needle, seconds):
        self.needle, self.delay_s = needle, seconds

    def lose_answer(self, needle):
        self.lost.clear()
        self.losing = needle

    def cut(self):
        """Ends every connection that there is; new ones go to the target of now."""
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def close(self):
        self._closing = True
        self._listener.close()
        self.cut()

    def _accept(self):
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            self._sockets += [client, server]
            threading.Thread(target=self._to_server, args=(client, server), daemon=True).start()
            threading.Thread(target=self._to_client, args=(server, client), daemon=True).start()

    def _to_server(self, client, server):
        held = False
        try:
            while True:
                data = client.recv(65536)
                if not data:
                    break
                if self.needle is not None and self.needle in data and not self.delayed.is_set():
                    held = True
                    self.delayed.set()
                    time.sleep(self.delay_s)
                if self.losing is not None and self.losing in data:
                    self.losing = None
                    client.shutdown(socket.SHUT_RDWR)  # before the server can have answered
                    server.sendall(data)
                    time.sleep(1)
                    self.lost.set()
                    break
                server.sendall(data)
                if held:
                    self.delivered.set()
            if held:
                # The server must have time to do what it was told before it sees the end.
                time.sleep(1)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            if held:
                self.delivered.set()

    def _to_client(self, server, client):
        try:
            while True:
                readable, _, _ = select.select([server], [], [], 60)
                data = server.recv(65536) if readable else b""
                if not data:
                    break
                client.sendall(data)
        except OSError:
            pass
        # The server's end is not ours to close: what the client sent may still be on its way.
