"""A worker's connection to MariaDB: whom it tells its password, which server it believes, and what it does when one breaks off."""

import contextlib
import os
import pathlib
import secrets
import socket
import struct
import threading
import time

import pytest

from certs import Authority
from mariadb_server import MariaDB, is_cut, quote_literal, quote_name
from mysql_plugin import CREATE, TAG, Account, Plugin, clean, elements, fails, plugin, refusal, server  # noqa: F401
from pg import wait_until
from plugin_driver import PluginGone
from proxy import Proxy

OUR_SESSIONS = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = 'leased'"


def kill_ours(server):
    for (number,) in server.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'leased'"):
        with contextlib.suppress(Exception):
            server.sql(f"KILL {number}")


def cut_clients(proxy):
    """Every second socket of the proxy is a server's: that side stays open, as when a firewall forgets a connection."""
    for sock in proxy._sockets[::2]:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


# ---- TLS ----


class OtherName(MariaDB):
    """Its certificate is good and names another server."""

    def make_certificates(self):
        folder = self.directory / "tls"
        folder.mkdir()
        self.authority = Authority(folder)
        return self.authority.issue("server", "DNS:other.example")


@pytest.fixture(scope="module")
def tls_server():
    with MariaDB(tls=True) as one:
        yield one


def test_a_server_is_verified_by_its_authority_as_file_and_as_text(tls_server):
    for authority in (tls_server.ca_file, pathlib.Path(tls_server.ca_file).read_text()):
        with Plugin(tls_server, tls_ca=authority) as one:
            account = one.mint()
            assert one.check(account) == {}
            ciphers = tls_server.sql("SHOW STATUS LIKE 'Ssl_accepts'")
            one.end(account)
        assert int(ciphers[0][1]) > 0


def test_another_authority_and_the_systems_own_are_refused(tls_server, tmp_path):
    other = Authority(tmp_path)
    other.issue("server")
    for config in ({"tls_ca": str(other.ca_file)}, {"tls_ca": None, "tls_mode": "verify"}):
        assert "tls_ca" in fails("unavailable", Plugin, tls_server, **config).text
    assert "tls_mode" in fails("invalid", Plugin, tls_server, tls_mode="disable").text


def test_a_certificate_for_another_name_is_refused():
    class Config(OtherName):
        def answers(self):
            return os.path.exists(self.socket_path) and super().answers()

    with Config(tls=True) as one:
        failure = fails("unavailable", Plugin, one)
        assert "(tls_mode and tls_ca say" in failure.text
        assert one.value(OUR_SESSIONS) == 0


def test_a_server_that_wants_tls_does_not_get_a_login_without(tls_server):
    config = {"tls_ca": None, "tls_mode": "disable"}
    failure = fails("denied", Plugin, tls_server, **config)
    assert tls_server.admin_password not in failure.text


# ---- who asks for the password ----


class Impostor:
    """Listens where the server would, and asks for what it wants to know. heard: every byte that it was sent."""

    def __init__(self, method=None, after_login=None):
        self.method, self.after_login = method, after_login
        self.heard = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def packet(self, sock):
        header = sock.recv(4)
        if len(header) < 4:
            raise ConnectionResetError
        count, data = header[0] | header[1] << 8 | header[2] << 16, b""
        while len(data) < count:
            data += sock.recv(count - len(data)) or self.end()
        self.heard += data
        self.number = header[3]
        return data

    def end(self):
        raise ConnectionResetError

    def send(self, sock, payload):
        self.number = (self.number + 1) & 255
        sock.sendall(struct.pack("<I", len(payload))[:3] + bytes([self.number]) + payload)

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError, ConnectionResetError), sock:
                sock.settimeout(3)
                self.converse(sock)

    def converse(self, sock):
        self.number = -1
        flags = 1 | 8 | 0x80 | 0x200 | 0x8000 | 0x80000  # 0x80: it takes LOAD DATA LOCAL
        self.send(sock, b"\x0a5.5.5-10.11.19-MariaDB\0" + struct.pack("<I", 7) + b"A" * 8 + b"\0" + struct.pack("<H", flags & 0xFFFF)
                  + bytes([45]) + struct.pack("<HH", 2, flags >> 16) + bytes([21]) + bytes(10) + b"B" * 12 + b"\0" + b"mysql_native_password\0")
        self.packet(sock)
        if self.method is not None:
            self.send(sock, b"\xfe" + self.method + b"\0" + b"C" * 20 + b"\0")
            self.packet(sock)
            if self.method == b"caching_sha2_password":
                self.send(sock, b"\x01\x04")  # say it in full
                self.packet(sock)
        self.send(sock, b"\0\0\0\2\0\0\0")
        while self.after_login is not None:
            self.packet(sock)
            self.send(sock, self.after_login)

    def close(self):
        self.listener.close()


@pytest.mark.parametrize("method", ["mysql_clear_password", "mysql_old_password", "caching_sha2_password", "sha256_password", "dialog",
                                    "auth_gssapi_client", "../../../evil", ""])
def test_who_listens_on_this_machine_does_not_get_the_password(server, method):
    impostor = Impostor(method.encode())
    try:
        failure = fails("denied" if method else "unavailable", Plugin, server, port=str(impostor.port))
        assert server.admin_password not in failure.text
        assert impostor.heard and server.admin_password.encode() not in impostor.heard
    finally:
        impostor.close()


def test_a_server_that_wants_a_file_gets_none(server, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the-content-of-a-file")
    impostor = Impostor(after_login=b"\xfb" + str(secret).encode())
    try:
        with pytest.raises(Exception):
            Plugin(server, port=str(impostor.port), tls_crl=None)
        assert b"the-content-of-a-file" not in impostor.heard
    finally:
        impostor.close()


def test_a_unix_socket_is_a_way_in(server):
    with Plugin(server, host=None, port=None, tls_mode=None, socket=server.socket_path) as one:
        assert "host" not in one.opened["endpoint"]
        one.end(one.mint(Account(role={})))


def test_a_url_as_vault_has_it_is_a_way_in(server):
    for url in (f"{{{{username}}}}:{{{{password}}}}@tcp({server.host}:{server.port})/", f"mysql://{{{{username}}}}:{{{{password}}}}@{server.host}:{server.port}/app"):
        with Plugin(server, host=None, port=None, tls_mode=None, connection_url=url) as one:
            one.end(one.mint())


# ---- sessions ----


def test_a_server_that_does_not_answer_is_unavailable_in_time(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        failure = fails("unavailable", Plugin, server, port=str(silent.getsockname()[1]), connect_timeout=1)
        assert time.monotonic() - started < 2.5 and "127.0.0.1" in failure.text


def test_a_session_that_the_daemon_refuses_is_closed(server):
    with Plugin(server, open_now=False) as one:
        one.worker.on_session = lambda session: {"code": "canceled", "text": "not now"}
        fails("canceled", one.open)
        wait_until(lambda: server.value(OUR_SESSIONS) == 0)
        assert one.worker.ended_sessions == [], "what the daemon does not know does not end for it"
        one.worker.on_session = None
        one.open()


def test_nothing_changes_before_the_session_is_acknowledged(server, plugin):
    kill_ours(server)
    time.sleep(0.1)
    seen = []

    def slow(session):
        time.sleep(0.3)
        seen.append(server.role_names())

    plugin.worker.on_session = slow
    account = plugin.mint()
    assert seen == [[]] and server.role_names() == [account.name]


def test_a_connection_that_was_ended_while_idle_is_opened_again(server, plugin):
    lives = []
    for how in ("terminate", "restart", "crash"):
        account = plugin.mint()
        lives.append(plugin.call("ping")["incarnation"])
        if how == "terminate":
            kill_ours(server)
        elif how == "restart":
            server.restart()
        else:
            server.kill()
            server.start()
        time.sleep(0.1)
        plugin.end(account)
        plugin.call("ping")
    assert lives[0] == lives[1] != lives[2], "a restart is another life of the server, a lost session is none"
    assert len(plugin.worker.sessions) == 4 and len({session for _, session in plugin.worker.sessions}) == 4
    with Plugin(server) as second:
        assert second.call("ping") == plugin.call("ping"), "two workers tell one life"


def test_a_server_that_is_down_is_unavailable_and_a_mint_sent_nothing(server, plugin):
    server.stop()
    try:
        assert fails("unavailable", plugin.mint).sent is False
        for op in ("disarm", "remove"):
            fails("unavailable", plugin.call, op, {"accounts": [Account().object()]})
        fails("unavailable", plugin.call, "ping")
    finally:
        server.start()
    plugin.call("ping")


SLEEPING = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO = 'SELECT SLEEP(20)'"


def start_sleeping_mint(server, one):
    account = Account(role={"creation_statements": elements([CREATE, "SELECT SLEEP(20)"])})
    call = one.worker.start("mint", {"account": account.object(), "password": account.password, "expires": "2030-01-01T00:00:00Z"},
                            deadline_ms=30000)
    wait_until(lambda: server.value(SLEEPING))
    return account, call


def test_a_session_that_is_ended_under_a_mint_is_reported_and_the_worker_lives(server, plugin):
    """The server says that it ends the session: nothing of it can land later."""
    account, call = start_sleeping_mint(server, plugin)
    number = plugin.worker.sessions[-1][1].split(":")[0]
    server.sql(f"KILL QUERY {number}")
    fails("timed_out", plugin.worker.finish, call, "mint")
    plugin.end(account)


def test_a_connection_that_breaks_under_a_mint_ends_the_worker_so_that_its_session_is_fenced(server):
    with Proxy((server.host, server.port)) as proxy, Plugin(server, port=str(proxy.port)) as one, Plugin(server) as second:
        account, call = start_sleeping_mint(server, one)
        session = one.worker.sessions[-1][1]
        cut_clients(proxy)
        with pytest.raises(PluginGone) as gone:
            one.worker.finish(call, "mint")
        assert gone.value.status == 75 and session in one.worker.log()
        assert second.call("reap", {"sessions": [session]})["results"] == [{"ok": True}]
        assert server.value(SLEEPING) == 0
        second.end(account)
    time.sleep(0.3)
    assert server.role_names() == []


def test_time_that_runs_out_under_a_mint_ends_in_time_and_nothing_lands_later(server, plugin):
    account = Account(role={"creation_statements": elements([CREATE, "SELECT SLEEP(20)"])})
    started = time.monotonic()
    failure = fails("timed_out", plugin.mint, account, deadline_ms=2000)
    assert time.monotonic() - started < 2 and failure.sent is True
    assert server.value(SLEEPING) == 0
    plugin.end(account)


def test_a_lock_of_somebody_else_is_not_waited_for_without_end(server, plugin):
    account = plugin.mint()
    with server.connect() as holder, holder.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        started = time.monotonic()
        fails("timed_out", plugin.disarm, account, deadline_ms=3000)
        assert time.monotonic() - started < 3
        cursor.execute("UNLOCK TABLES")
    plugin.end(account)


# ---- another server ----


def test_accounts_of_another_server_at_the_same_address_are_not_touched(server, plugin):
    with MariaDB(admin_password=server.admin_password) as other, Proxy((server.host, server.port)) as proxy:
        assert other.server_uid != server.server_uid
        with Plugin(server, port=str(proxy.port)) as one:
            account = one.mint()
            other.sql(f"CREATE USER {quote_name(account.name)}@'%' IDENTIFIED BY 'x'")
            proxy.target = (other.host, other.port)
            cut_clients(proxy)
            time.sleep(0.2)
            # The worker that was opened on the one says so of every call, until it is opened anew.
            for call in (one.disarm, one.remove, one.renew):
                failure = fails("moved", call, account)
                assert server.server_uid in failure.text and other.server_uid in failure.text and "confirm_move" in failure.text
        with Plugin(server, port=str(proxy.port)) as one:
            for result in (one.disarm(account), one.remove(account)):
                text = refusal(result, "moved")
                assert server.server_uid in text and other.server_uid in text
            fails("moved", one.renew, account)
            gone = Account()
            gone.server = server.server_uid
            refusal(one.disarm(gone), "moved")
        assert other.can_login(account.name, "x")
    plugin.end(account)


def test_a_replica_is_refused(server, plugin):
    server.sql("SET GLOBAL read_only = 1")
    try:
        assert "read-only" in fails("unavailable", Plugin, server).text
        fails("unavailable", plugin.mint)
    finally:
        server.sql("SET GLOBAL read_only = 0")


def test_a_paused_server_makes_no_answer_and_the_kill_of_the_worker_loses_nothing(server, plugin):
    account = plugin.mint()
    server.pause()
    try:
        plugin.worker.start("disarm", {"accounts": [account.object()]}, deadline_ms=1000)
        time.sleep(1.2)
        plugin.worker.kill()
    finally:
        server.resume()
    with Plugin(server) as second:
        second.end(account)


# ---- passwords that are rotated ----


@pytest.fixture
def reporting(server):
    """A static account, whose password people would rotate."""
    password = secrets.token_urlsafe(12)
    server.sql(f"CREATE USER reporting@'%' IDENTIFIED BY {quote_literal(password)}")
    account = Account("reporting", role={})
    account.password = password
    yield account
    server.sql("DROP USER reporting@'%'")


def test_a_static_account_keeps_its_sessions_and_gets_a_new_password(server, plugin, reporting):
    session = server.connect("reporting", reporting.password)
    fails("denied", plugin.call, "check", {"account": reporting.object(), "password": "wrong", "scope": "login"})
    assert plugin.check(reporting, scope="login") == {}
    assert plugin.call("check", {"account": reporting.object(), "password": secrets.token_hex(12), "scope": "static"}) == {}
    for _ in range(2):
        result = plugin.call("set_password", {"account": reporting.object(), "password": "New-" + reporting.password})
        assert result == {"handle": "%", "server": server.server_uid}
    assert not server.can_login("reporting", reporting.password)
    reporting.password = "New-" + reporting.password
    assert plugin.check(reporting, scope="login") == {} and not is_cut(session)


@pytest.mark.parametrize("change,code,text", [
    ("ALTER USER reporting@'%' ACCOUNT LOCK", "refused", "ACCOUNT UNLOCK"),
    ("ALTER USER reporting@'%' IDENTIFIED VIA unix_socket", "refused", "has no password"),
    ("ALTER USER reporting@'%' IDENTIFIED VIA unix_socket OR mysql_native_password", "refused", "several ways"),
    ("DROP USER reporting@'%'", "not_found", "no account")])
def test_an_account_that_cannot_be_rotated_says_why(server, plugin, reporting, change, code, text):
    server.sql(change)
    try:
        for scope in ("static",):
            failure = fails(code, plugin.call, "check", {"account": reporting.object(), "password": "x" * 20, "scope": scope})
            assert text in failure.text
    finally:
        server.sql("CREATE OR REPLACE USER reporting@'%'")


def test_a_server_that_asks_for_no_password_proves_nothing(server, plugin, reporting):
    server.sql("CREATE USER reporting@'127.0.0.1'")
    try:
        failure = fails("refused", plugin.call, "check", {"account": {**reporting.object(), "handle": "%"}, "password": "", "scope": "login"})
        assert "reporting" in failure.text
    finally:
        server.sql("DROP USER reporting@'127.0.0.1'")


def test_the_administrators_own_password_is_rotated_and_either_is_tried(server, plugin):
    old, new = server.admin_password, "Aa1-" + secrets.token_hex(10)
    fails("invalid", plugin.call, "check", {"account": {"name": "leased", "role": {}}, "password": "x" * 20, "scope": "static"})
    plugin.call("set_password", {"account": {"name": "leased", "role": {}}, "password": new})
    try:
        kill_ours(server)
        time.sleep(0.1)
        plugin.end(plugin.mint()), "it goes on with the new one"
        with Plugin(server, password=old, password_candidate=new) as one:
            one.end(one.mint())
        with Plugin(server, password=new, password_candidate=old) as one:
            one.call("ping")
        fails("denied", Plugin, server, password=old)
        fails("denied", Plugin, server, password=old, password_candidate="x" * 20)
    finally:
        server.quietly(f"ALTER USER leased@'%' IDENTIFIED BY {quote_literal(old)}")


def test_no_secret_is_in_argv_or_environment(server, plugin):
    for name in ("cmdline", "environ"):
        try:
            text = pathlib.Path(f"/proc/{plugin.worker.pid}/{name}").read_bytes()
        except PermissionError:
            continue
        assert server.admin_password.encode() not in text
    assert TAG not in plugin.worker.log()
