"""A small HTTP API for tests of the http plugin: it remembers every request as it came, byte for byte, and answers what it is told."""

import http.server
import json
import threading


class FakeApi:
    """answer(request) -> (status, JSON or bytes, headers) is a test's own; requests: (method, target, headers, body)."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda request: (200, {}))
        self.requests = []
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = (self.command, self.path, dict(self.headers.items()), body)
                api.requests.append(request)
                answer = api.answer(request)
                if answer is None:  # hang up
                    self.close_connection = True
                    return
                status, content, *headers = answer
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in (headers[0] if headers else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = serve

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def paths(self):
        return [f"{method} {target}" for method, target, *_ in self.requests]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
