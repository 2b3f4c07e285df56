"""The http plugin against an API that keeps what it was sent: what values become, backend-made credentials, what cannot be revoked, broken answers."""

import datetime
import json
import time
import urllib.parse

import pytest

from backend_http_etcd import Backend
from conftest import EXPIRES, TAG, fails
from fake_api import FakeApi
from plugin_driver import PluginGone, Worker

HOSTILE = ["l-\"}],\"admin\":true,{", "l-\r\nX-Evil: 1", "l-&admin=1#x?y=z", "l-../../admin", "l-%2e%2e%2fadmin", "l-'; DROP USER \"root", "l-{{connection.token}}", "l-\\\\\"x"]


@pytest.fixture
def api():
    with FakeApi() as one:
        yield one


@pytest.fixture
def start():
    workers = []

    def opened(api, **changes):
        worker = Worker(Backend().program)
        workers.append(worker)
        config = {"base_url": api.url, "allow_plain_http": True, "token": "t0ken-of-leased", "headers": {"Authorization": "Bearer {{connection.token}}"},
                  "create": {"path": "/users", "json": {"user": "{{name}}", "password": "{{password}}"}},
                  "revoke": {"method": "DELETE", "path": "/users/{{name}}"}} | changes
        worker.opened = worker.call("open", {"config": {name: value for name, value in config.items() if value is not None}, "tag": TAG, "instance": "i"})
        return worker

    yield opened
    for worker in workers:
        worker.__exit__()


def account(name="l-c0nf0r-app-1", settings=None, **more):
    return {"name": name, "role": {"settings": settings} if settings else {}, **more}


def mint(worker, of, password="Aa1-xxxxxxxxxxxxxxxxxxxx", expires=EXPIRES):
    return worker.call("mint", {"account": of, "password": password, "expires": expires})


def each(worker, op, *accounts):
    return worker.call(op, {"accounts": list(accounts)})["results"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leaves_its_place(api, start, name):
    """In a path, a query, a header, JSON, a form and a statement: the server reads just that name, or nothing was sent."""
    worker = start(api, create=[
        {"method": "PUT", "path": "/a/{{name}}/b", "query": {"q": "{{name}}", "z": "1"}},
        {"path": "/json", "json": {"list": [{"user": "<{{name}}>"}]}},
        {"path": "/form", "form": {"n": "{{name}}", "q": {"influxql": "DROP USER \"{{name}}\""}}},
        {"path": "/header", "headers": {"X-Name": "{{name}}"}}])
    if "\r" in name:
        assert fails("invalid", mint, worker, account(name)).sent is False
        assert api.requests == []
        return
    mint(worker, account(name))
    put, by_json, by_form, by_header = api.requests
    path, query = put[1].split("?")
    assert path.count("/") == 3 and urllib.parse.unquote(path) == f"/a/{name}/b"
    assert urllib.parse.parse_qsl(query, strict_parsing=True) == [("q", name), ("z", "1")]
    assert json.loads(by_json[3]) == {"list": [{"user": f"<{name}>"}]}
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")
    assert urllib.parse.parse_qsl(by_form[3].decode(), strict_parsing=True) == [("n", name), ("q", f'DROP USER "{escaped}"')]
    assert by_header[2]["X-Name"] == name and "X-Evil" not in by_header[2]
    assert all(request[2]["Authorization"] == "Bearer t0ken-of-leased" for request in api.requests)


def test_basic_authentication_takes_no_second_name(api, start):
    worker = start(api, check={"path": "/me", "basic_auth": {"username": "{{name}}", "password": "{{password}}"}})
    fails("invalid", worker.call, "check", {"account": account("l-x:y"), "password": "p"})
    worker.call("check", {"account": account(), "password": "a:b"})
    (request,) = api.requests
    assert request[2]["Authorization"] == "Basic bC1jMG5mMHItYXBwLTE6YTpi"  # l-c0nf0r-app-1:a:b, and nothing of leased's own


def test_a_backend_made_secret_goes_to_the_client_and_what_revokes_is_kept(start):
    with FakeApi(lambda request: (201, {"data": [{"id": 77, "key": "k-s3cret", "a/b": "x"}]}) if request[1] == "/keys" else (200, {})) as api:
        worker = start(
            api, create={"path": "/keys", "json": {"name": "{{name}}", "ttl": "{{ttl:number}}", "scopes": "{{role.scopes:json}}"},
                         "values": {"id": "/data/0/id", "key": "/data/0/key", "other": "/data/0/a~1b"}},
            credential={"key": "{{values.key}}", "url": "https://api.example/{{values.other}}"}, handle="{{values.id}}", kept="{{values.key}}",
            role_defaults={"scopes": ["read"]}, renew={"method": "PATCH", "path": "/keys/{{handle}}", "json": {"until": "{{expiration}}"}},
            revoke={"method": "POST", "path": "/revoke", "headers": {"X-Key": "{{kept}}"}}, remove={"method": "DELETE", "path": "/keys/{{handle}}"})
        assert worker.opened["password"] is False and worker.opened["native_expiry"] is True
        made = mint(worker, account())
        assert made == {"handle": "77", "kept": "k-s3cret", "server": api.url, "values": {"key": "k-s3cret", "url": "https://api.example/x"}}
        sent = json.loads(api.requests[0][3])
        assert sent["scopes"] == ["read"] and isinstance(sent["ttl"], int) and sent["ttl"] > 10**9
        known = account(**{name: made[name] for name in ("handle", "kept", "server")})
        assert worker.call("renew", {"account": known, "expires": "2098-01-01T00:00:00Z"}) == {}
        assert each(worker, "disarm", known)[0]["ok"] and each(worker, "remove", known)[0]["ok"]
        assert api.paths()[1:] == ["PATCH /keys/77", "POST /revoke", "DELETE /keys/77"]
        assert json.loads(api.requests[1][3]) == {"until": "2098-01-01T00:00:00Z"} and api.requests[2][2]["X-Key"] == "k-s3cret"
        (result,) = each(worker, "disarm", account())  # the answer of create was lost
        assert result["error"]["code"] == "refused" and "was lost" in result["error"]["text"]


def test_an_id_that_was_lost_is_looked_for_by_the_name(start):
    listed = {"keys": [{"id": 5, "name": "l-c0nf0r-app-0"}, {"id": 6, "name": "l-c0nf0r-app-1"}]}
    with FakeApi(lambda request: (200, listed) if request[0] == "GET" else (200, {"id": 6})) as api:
        worker = start(api, create={"path": "/keys", "json": {"name": "{{name}}"}, "values": {"id": "/id"}}, handle="{{values.id}}",
                       revoke={"method": "DELETE", "path": "/keys/{{handle}}"},
                       inventory={"path": "/keys", "items": "/keys", "values": {"name": "/name", "handle": "/id"}})
        api.requests.clear()
        assert each(worker, "disarm", account())[0]["ok"]
        assert api.paths() == ["GET /keys", "DELETE /keys/6"]
        assert each(worker, "disarm", account("l-c0nf0r-app-9", server=api.url)) == [{"ok": True}]
        assert api.paths()[2:] == ["GET /keys"]
        page = worker.call("inventory", {"tag": TAG})
        assert [(one["name"], one["handle"]) for one in page["accounts"]] == [("l-c0nf0r-app-0", "5"), ("l-c0nf0r-app-1", "6")]


def test_what_cannot_be_revoked_is_said_and_ends_at_its_end(api, start):
    worker = start(api, can_revoke=False, revoke=None, create={"path": "/t", "json": {"n": "{{name}}", "until": "{{expiration_unix}}"}})
    assert "can_revoke = false" in worker.opened["warnings"][0]
    mint(worker, account())
    for op in ("disarm", "remove"):
        (result,) = each(worker, op, account(expires=EXPIRES))
        assert result["error"] == {"code": "refused", "text": f"this backend cannot revoke: the account ends by itself at {EXPIRES}"}
        assert each(worker, op, account())[0]["error"]["code"] == "refused"
        past = (datetime.datetime.utcnow() - datetime.timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert each(worker, op, account(expires=past))[0]["ok"]


def test_several_requests_of_revoke_all_go_though_something_is_gone_already(start):
    with FakeApi(lambda request: (404, {}) if request[1] == "/keys" else (200, {})) as api:
        worker = start(api, revoke=[{"method": "DELETE", "path": "/keys"}, {"method": "DELETE", "path": "/user"}])
        assert each(worker, "disarm", account(server=api.url)) == [{"ok": True}]
        assert api.paths() == ["DELETE /keys", "DELETE /user"]


@pytest.mark.parametrize("content, ended", [({}, True), (b"", True), (b"404 page not found\n", False), (b"<html>404 Not Found</html>", False)], ids=str)
@pytest.mark.parametrize("status", [404, 200])
def test_not_found_or_ok_is_the_apis_word_only_if_it_speaks_as_the_api(start, status, content, ended):
    """A proxy, or a server that knows no such path, says 404 too, or has a page for people, while the account has its access."""
    with FakeApi(lambda request: (status, content)) as api:
        (result,) = each(start(api), "disarm", account(server=api.url))
        ended = ended and not (status == 404 and content == b"")  # as a gateway without its route
        assert result["ok"] is ended, result
        assert ended or (result["error"]["code"] == "refused" and "a rule of answers" in result["error"]["text"])
        worker = start(api, answers=[{"status": status, "means": "gone"}])
        assert each(worker, "disarm", account(server=api.url))[0]["ok"]


def test_a_login_that_has_ended_is_made_anew_and_the_request_sent_again(start):
    tokens = []

    def answer(request):
        if request[1] == "/login":
            assert "Authorization" not in request[2] and json.loads(request[3]) == {"p": "t0ken-of-leased"}
            tokens.append(f"t{len(tokens)}")
            return 200, {"token": tokens[-1]}
        return (200, {}) if request[2]["Authorization"] == tokens[-1] else (401, {})

    with FakeApi(answer) as api:
        worker = start(api, login={"path": "/login", "json": {"p": "{{connection.token}}"}, "values": {"token": "/token"}},
                       headers={"Authorization": "{{login.token}}"})
        mint(worker, account())
        tokens.append("forgotten")
        mint(worker, account())
        assert api.paths() == ["POST /login", "POST /users", "POST /users", "POST /login", "POST /users"]


NO_ROUTE = (404, {"message": "no Route matched with those values"})  # as an API gateway says it


def test_a_login_that_is_not_found_ends_nobodys_lease(start):
    routes = []

    def answer(request):
        if request[1] == "/login":
            return (200, {"token": "t"}) if not routes else NO_ROUTE
        return (200, {}) if not routes else (401, {})

    with FakeApi(answer) as api:
        worker = start(api, login={"path": "/login", "json": {"p": "{{connection.token}}"}, "values": {"token": "/token"}},
                       headers={"Authorization": "{{login.token}}"})
        mint(worker, account())
        routes.append("lost")
        for op in ("disarm", "remove"):
            (result,) = each(worker, op, account(server=api.url))
            assert not result["ok"] and result["error"]["code"] == "refused" and "login" in result["error"]["text"], result
        assert api.paths()[2:] == ["DELETE /users/l-c0nf0r-app-1", "POST /login", "POST /login"]


def test_a_list_that_is_not_found_ends_nobodys_lease(start):
    with FakeApi(lambda request: NO_ROUTE if request[0] == "GET" and len(api.requests) > 1 else (200, {"id": 6, "keys": []})) as api:
        worker = start(api, create={"path": "/keys", "json": {"name": "{{name}}"}, "values": {"id": "/id"}}, handle="{{values.id}}",
                       revoke={"method": "DELETE", "path": "/keys/{{handle}}"},
                       inventory={"path": "/keys", "items": "/keys", "values": {"name": "/name", "handle": "/id"}})
        (result,) = each(worker, "disarm", account())  # the answer of create was lost: its id is looked for
        assert not result["ok"] and result["error"]["code"] == "refused", result
        assert "DELETE" not in "".join(api.paths())


def test_a_role_is_judged_before_anything_is_sent(api, start):
    worker = start(api, create=[{"path": "/users", "json": {"user": "{{name}}", "kind": "{{role.kind|reader|writer}}"}},
                                {"path": "/grant", "json": "{{item.db}}", "for_each": "role.grants"}])
    for settings, reason in (({}, 'set "kind" in the role\'s settings'), ({"kind": "admin"}, "must be one of |reader|writer|"),
                             ({"kind": "reader", "grant": []}, "settings.grant: no request"), ({"kind": "reader", "grants": "x"}, "must be a list"),
                             ({"kind": "reader", "grants": [{"database": "x"}]}, "create[1]"), ([], "settings")):
        failure = fails("invalid", mint, worker, {"name": "l-x", "role": {"settings": settings}})
        assert reason in failure.text and failure.sent is False, failure.text
    assert api.requests == []
    mint(worker, account(settings={"kind": "reader", "grants": [{"db": "a"}, {"db": "b"}]}))
    assert [request[3] for request in api.requests[1:]] == [b'"a"', b'"b"']


SECRET = "Aa1-xxxxxxxxxxxxxxxxxxxx"


@pytest.mark.parametrize("answer, code, shown", [
    ((400, {"error": f"bad {SECRET} t0ken-of-leased\n\x1b[31m"}), "refused", "answered 400: bad *********"),
    ((409, {"error": "taken"}), "exists", "taken"),
    ((403, {"error": "no"}), "denied", "no"),
    ((404, {"error": "no such group"}), "refused", "no such group"),
    ((503, b"<html>Aa1-xxxxxxxxxxxxxxxxxxxx</html>"), "unavailable", "answered 503"),
    ((200, b"not json"), "refused", "other than JSON"),
    ((200, b"{\"id\": {}}"), "refused", 'at "/id"'),
    ((200, b"{\"id\": 1, \"id\": 2}"), "refused", "other than JSON"),
    ((200, b"[" * 100000), "refused", "other than JSON"),
    ((302, b"", {"Location": "http://127.0.0.1:1/"}), "refused", "not followed"),
    ((200, b" " * (1 << 20) + b"{}"), "refused", "more than 1024 KiB"),
], ids=lambda value: str(value)[:24])
def test_what_a_server_may_answer_is_told_without_secrets(start, answer, code, shown):
    with FakeApi(lambda request: answer) as api:
        worker = start(api, create={"path": "/users", "json": {"user": "{{name}}", "password": "{{password}}"}, "values": {"id": "/id"}},
                       error_text="/error")
        failure = fails(code, mint, worker, account(), SECRET)
        assert shown in failure.text and SECRET not in failure.text and "t0ken" not in failure.text and "\x1b" not in failure.text
        assert failure.sent is True


def test_a_change_without_an_answer_ends_the_worker_and_a_read_does_not(start):
    with FakeApi(lambda request: None) as api:
        worker = start(api, lookup={"path": "/users/{{name}}"})
        fails("unavailable", worker.call, "renew", {"account": account(), "expires": EXPIRES})
        with pytest.raises(PluginGone) as gone:
            mint(worker, account())
        assert gone.value.status == 75
        assert api.paths().count("POST /users") == 1, "a change must go once"


def test_a_server_that_does_not_answer_in_time(start):
    with FakeApi(lambda request: time.sleep(1.5) or (200, {})) as api:
        worker = start(api, lookup={"path": "/users/{{name}}"})
        begun = time.monotonic()
        params = {"account": account(), "expires": EXPIRES}
        fails("timed_out", worker.call, "renew", params, deadline_ms=400)
        assert time.monotonic() - begun < 1


def test_a_server_that_is_down_was_sent_nothing(start):
    with FakeApi() as api:
        worker = start(api)
    assert fails("unavailable", mint, worker, account()).sent is False
    fails("unavailable", each, worker, "disarm", account())


def test_another_server_at_the_same_address_is_noticed(start):
    identity = {"id": "one"}
    with FakeApi(lambda request: (200, identity)) as api:
        worker = start(api, identity={"path": "/id", "values": {"server": "/id", "incarnation": "/id"}})
        assert worker.opened["server"] == "one" and worker.call("ping") == {"incarnation": "one"}
        identity["id"] = "two"
        assert fails("moved", mint, worker, account()).sent is False
        fails("moved", each, worker, "disarm", account())
        assert "POST /users" not in api.paths()


def test_proxies_of_the_environment_are_not_used(api):
    worker = Worker(Backend().program, {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1"})
    with worker:
        worker.call("open", {"config": {"base_url": api.url, "allow_plain_http": True, "create": {"path": "/c"}, "revoke": {"path": "/r"},
                                        "identity": {"path": "/id"}}, "tag": TAG, "instance": "i"})
        assert api.paths() == ["GET /id"]
