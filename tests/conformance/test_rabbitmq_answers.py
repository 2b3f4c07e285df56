"""What the RabbitMQ plugin makes of answers that no good server gives: another cluster's, a proxy's, too many bytes, a redirect."""

import http.server
import json
import socket
import threading

import pytest

from conftest import EXPIRES, TAG, fails
from plugin_driver import PluginGone, Worker

from backend_rabbitmq import Backend


class Api(http.server.BaseHTTPRequestHandler):
    """As much of the management API as open asks for; answers may be replaced by their paths."""

    protocol_version = "HTTP/1.1"
    usual = {
        "/api/whoami": {"name": "leased", "tags": ["administrator"]},
        "/api/overview": {"cluster_name": "rabbit@one", "listeners": [{"protocol": "amqp", "port": 5672}]},
        "/api/global-parameters/internal_cluster_id": {"name": "internal_cluster_id", "value": "rabbitmq-cluster-id-one"},
    }

    def answer(self):
        self.server.seen.append((self.command, self.path))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = self.server.answers.get(self.path, self.usual.get(self.path))
        if found is None:
            found = (404, {"error": "Object Not Found", "reason": "Not Found"})
        status, body = found if isinstance(found, tuple) else (200, found)
        if status == "hang up":
            self.close_connection = True
            return
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if status // 100 == 3:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        server.answers, server.seen = {}, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def worker(api):
    with Worker(Backend().program) as one:
        config = {"connection_uri": f"http://127.0.0.1:{api.server_port}", "username": "leased", "password": "s3cret"}
        result = one.call("open", {"config": config, "tag": TAG, "instance": "i"})
        assert result["server"] == "rabbitmq-cluster-id-one"
        assert result["endpoint"] == {"scheme": "amqp", "host": "127.0.0.1", "port": "5672"}
        yield one


ACCOUNT = {"name": f"l-{TAG}-app-1", "role": {}, "server": "rabbitmq-cluster-id-one"}


def calls():
    return [("disarm", {"accounts": [ACCOUNT]}), ("remove", {"accounts": [ACCOUNT]}), ("renew", {"account": ACCOUNT, "expires": EXPIRES}),
            ("mint", {"account": ACCOUNT, "password": "x", "expires": EXPIRES}), ("inventory", {"tag": TAG}), ("ping", {})]


def test_another_cluster_at_the_address_is_said_and_nothing_is_changed_or_called_gone(api, worker):
    api.answers["/api/global-parameters/internal_cluster_id"] = {"value": "rabbitmq-cluster-id-two"}
    for op, params in calls():
        assert "rabbitmq-cluster-id-two" in fails("moved", worker.call, op, params).text, op
    assert {method for method, _ in api.seen} == {"GET"}


@pytest.mark.parametrize("status, body", [(404, b"<html>no such page</html>"), (404, {"error": "not here"}), (404, b""), (200, {}), (200, [])], ids=str)
def test_a_404_that_is_not_the_apis_own_is_not_gone(api, worker, status, body):
    api.answers[f"/api/users/{ACCOUNT['name']}"] = (status, body)
    for op in ("disarm", "remove"):
        (result,) = worker.call(op, {"accounts": [ACCOUNT]})["results"]
        assert result["ok"] is False, (op, result)


@pytest.mark.parametrize("body", [b"", b'{"error":"not here"}'], ids=str)
def test_a_404_to_a_deletion_that_is_not_the_apis_own_is_not_gone(api, worker, monkeypatch, body):
    """A proxy that lets reading through, and nothing else."""
    name = ACCOUNT["name"]
    api.answers |= {f"/api/users/{name}": {"name": name, "password_hash": "x", "tags": []}, f"/api/connections/username/{name}?columns=name": [],
                    f"/api/users/{name}/permissions": [], f"/api/users/{name}/topic-permissions": []}

    def delete(self):
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    monkeypatch.setattr(Api, "do_DELETE", delete)
    (result,) = worker.call("remove", {"accounts": [ACCOUNT]})["results"]
    assert result["ok"] is False and "delete a user" in result["error"]["text"], result


@pytest.mark.parametrize("reason, shown", [
    (["invalid_regexp", [40], [[109, 105, 115, 115, 105, 110, 103, 32, 41], 1]], '"(" is no regular expression: missing )'),
    (["invalid_regexp", "(", ["missing )", 1]], '"(" is no regular expression: missing )'),
    (["invalid_regexp", [27, -1, 1 << 60, {}] * 5000, "x"], "is no regular expression"), (["invalid_regexp"], "is no regular expression"),
    (["invalid_regexp", {"a": 1}, [[]]], "is no regular expression"), (["else"], "answers 400"), ({}, "answers 400")], ids=repr)
def test_a_pattern_that_the_server_refuses_is_named(api, worker, reason, shown):
    mint = {"account": ACCOUNT | {"role": {"vhosts": {"/": {"configure": "("}}}}, "password": "x", "expires": EXPIRES}
    api.answers[f"/api/permissions/%2F/{ACCOUNT['name']}"] = (400, {"error": "bad_request", "reason": reason})
    api.answers[f"/api/users/{ACCOUNT['name']}"] = (404, {"error": "Object Not Found", "reason": "Not Found"})
    get = Api.do_PUT

    def put(self):
        if "/users/" in self.path:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            get(self)

    Api.do_PUT = put
    try:
        text = fails("refused", worker.call, "mint", mint).text
    finally:
        Api.do_PUT = get
    assert shown in text and "virtual host /" in text and "\x1b" not in text, text


@pytest.mark.parametrize("words", [b"AMQP\0\0\x09\x01", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html/>"], ids=repr)
def test_what_answers_at_a_wrong_port_is_said_to_be_no_management_api(words):
    with socket.create_server(("127.0.0.1", 0)) as listener, Worker(Backend().program) as one:
        def serve():
            stream, _ = listener.accept()
            with stream:
                stream.recv(4096)
                stream.sendall(words)

        thread = threading.Thread(target=serve)
        thread.start()
        config = {"connection_uri": f"http://127.0.0.1:{listener.getsockname()[1]}", "username": "leased", "password": "s3cret"}
        failure = fails({"unavailable", "refused"}, one.call, "open", {"config": config, "tag": TAG, "instance": "i"})
        thread.join()
        assert "not the management API" in failure.text and "15672" in failure.text, failure


def test_a_redirect_is_not_followed(api, worker):
    api.answers[f"/api/users/{ACCOUNT['name']}"] = (301, b"")
    (result,) = worker.call("remove", {"accounts": [ACCOUNT]})["results"]
    assert result["ok"] is False and "elsewhere" in result["error"]["text"], result


def test_an_answer_without_an_end_is_refused(api, worker):
    api.answers[f"/api/users/{ACCOUNT['name']}"] = (200, b"[" + b"0," * (1 << 20))
    (result,) = worker.call("remove", {"accounts": [ACCOUNT]})["results"]
    assert result["ok"] is False and "KiB" in result["error"]["text"], result


def test_a_change_without_an_answer_ends_the_worker(api, worker):
    api.answers[f"/api/users/{ACCOUNT['name']}"] = {"name": ACCOUNT["name"], "password_hash": "x", "tags": []}
    api.answers["/api/global-parameters/internal_cluster_id"] = Api.usual["/api/global-parameters/internal_cluster_id"]
    hung = []

    def put(self):
        hung.append(self.path)
        self.close_connection = True

    Api.do_PUT, usual = put, Api.do_PUT
    try:
        with pytest.raises(PluginGone) as gone:
            worker.call("disarm", {"accounts": [ACCOUNT]})
    finally:
        Api.do_PUT = usual
    assert gone.value.status == 75 and hung == [f"/api/users/{ACCOUNT['name']}"], "sent once, and never again"


def test_no_proxy_of_the_environment_is_asked(api):
    with Worker(Backend().program, {"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}) as one:
        config = {"connection_uri": f"http://127.0.0.1:{api.server_port}", "username": "leased", "password": "s3cret"}
        one.call("open", {"config": config, "tag": TAG, "instance": "i"})
