"""The connection to PostgreSQL: TLS that refuses before a password is sent, URLs, servers that change, connections that break."""

import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from pg import Postgres, quote_ident, wait_until
from pg_plugin import CREATE, Account, CallFailed, Plugin, clean, elements, plugin, refusal, server  # noqa: F401
from plugin_driver import PluginGone
from privilege import read_as_root
from proxy import Proxy

SPECIAL = "a@b/c:d?e#f%g h&i=j+k'l\"m\\n{{o}}[p]"


@pytest.fixture(scope="module")
def tls_server():
    with Postgres(tls=True, settings={"listen_addresses": "127.0.0.1,127.0.0.2"}) as postgres:
        yield postgres


@pytest.fixture
def stranger(tmp_path):
    """A certificate for localhost that no authority of ours has signed."""
    key, cert = tmp_path / "key", tmp_path / "cert"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                    "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, stderr=subprocess.DEVNULL)
    return cert, key


class FakeServer:
    """Says yes or no to TLS and keeps what the client sends after that."""

    def __init__(self, answer, certificate=None):
        self.answer, self.certificate = answer, certificate
        self.received = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        client, _ = self.listener.accept()
        client.settimeout(3)
        try:
            assert client.recv(8)[4:] == (80877103).to_bytes(4, "big"), "the request for TLS"
            client.sendall(self.answer)
            if self.certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.certificate)
                client = context.wrap_socket(client, server_side=True)
            while data := client.recv(4096):
                self.received += data
                client.sendall(b"R\0\0\0\x08\0\0\0\x03")  # asks for the password in clear text
        except (OSError, ssl.SSLError):
            pass
        finally:
            client.close()

    def close(self):
        self.listener.close()
        self.thread.join(5)


# ---- TLS ----


def test_verify_full_takes_the_right_server(tls_server):
    with Plugin(tls_server, sslmode="verify-full", sslrootcert=tls_server.ca_file) as one:
        one.end(one.mint())
        assert tls_server.value("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'leased'") is True


def test_the_authority_may_be_given_as_text(tls_server):
    with open(tls_server.ca_file, encoding="ascii") as file, Plugin(tls_server, sslmode="verify-full", tls_ca=file.read()) as one:
        one.end(one.mint())


@pytest.mark.parametrize("config", [{"host": "127.0.0.2", "sslmode": "verify-full"}, {"sslmode": "verify-full", "sslrootcert": "/etc/ssl/certs/ca-certificates.crt"}],
                         ids=["wrong-name", "unknown-authority"])
def test_verify_full_refuses_another_server(tls_server, config):
    before = tls_server.log().count("connection authorized: user=leased")
    with pytest.raises(CallFailed) as failed:
        Plugin(tls_server, **({"sslrootcert": tls_server.ca_file} | config))
    assert failed.value.code == "unavailable"
    assert "certificate" in failed.value.text and "sslrootcert" in failed.value.text
    assert tls_server.log().count("connection authorized: user=leased") == before


def test_verify_full_sends_nothing_to_a_self_signed_server(server, stranger):  # noqa: F811
    fake = FakeServer(b"S", [str(path) for path in stranger])
    with pytest.raises(CallFailed) as failed:
        Plugin(server, host="127.0.0.1", port=str(fake.port), sslmode="verify-full")
    fake.close()
    assert fake.received == b"", "neither a user's name nor a password"
    assert failed.value.code == "unavailable" and server.admin_password not in failed.value.text


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
def test_a_server_that_refuses_tls_gets_no_byte(server, sslmode):  # noqa: F811
    fake = FakeServer(b"N")
    with pytest.raises(CallFailed) as failed:
        Plugin(server, host="127.0.0.1", port=str(fake.port), sslmode=sslmode)
    fake.close()
    assert fake.received == b"" and failed.value.code == "unavailable"


def test_a_server_that_asks_for_the_password_in_clear_text_under_tls_does_not_get_it(server, stranger):  # noqa: F811
    """With `require` nobody checks the certificate; channel binding is what is left, and it needs SCRAM."""
    fake = FakeServer(b"S", [str(path) for path in stranger])
    with pytest.raises(CallFailed) as failed:
        Plugin(server, host="127.0.0.1", port=str(fake.port), sslmode="require")
    fake.close()
    assert server.admin_password.encode() not in fake.received and b"leased" in fake.received
    assert "channel binding" in failed.value.text and "channel_binding" in failed.value.text


class Listener:
    """Whoever listens on this machine while the server is away: no TLS, and questions for the password, all in one piece."""

    def __init__(self, listener, questions):
        self.received, self.listener, self.questions = b"", listener, questions
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
                with client:
                    client.settimeout(3)
                    data = client.recv(4096)
                    if data[4:8] == (80877103).to_bytes(4, "big"):
                        client.sendall(b"N" + self.questions)
                    else:
                        client.sendall(self.questions)
                    while data:
                        self.received += data
                        data = client.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                return


CLEAR, MD5 = b"R\0\0\0\x08\0\0\0\x03", b"R\0\0\0\x0c\0\0\0\x05salt"
SCRAM = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"


@pytest.mark.parametrize("questions", [CLEAR, MD5, SCRAM + CLEAR], ids=["clear", "md5", "clear-behind-scram"])
@pytest.mark.parametrize("place", ["prefer", "disable", "socket"])
def test_who_listens_on_this_machine_does_not_get_the_password(server, tmp_path, questions, place):  # noqa: F811
    if place == "socket":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / ".s.PGSQL.5432"))
        listener.listen()
        config = {"host": str(tmp_path), "port": "5432"}
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        config = {"host": "127.0.0.1", "port": str(listener.getsockname()[1]), "sslmode": place}
    impostor = Listener(listener, questions)
    with pytest.raises(CallFailed) as failed:
        Plugin(server, **config)
    listener.close()
    assert server.admin_password.encode() not in impostor.received and b"md5" not in impostor.received
    assert b"leased" in impostor.received, "it came as far as the question"
    assert failed.value.code == "denied" and "it was not sent" in failed.value.text, failed.value.text


def test_a_local_server_without_tls_is_logged_into_by_scram(server):  # noqa: F811
    with Plugin(server, host="127.0.0.1") as one:
        one.end(one.mint())


def test_a_local_server_with_tls_is_taken_with_it(tls_server):
    with Plugin(tls_server, host="127.0.0.1") as one:
        one.end(one.mint())
        assert tls_server.value("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'leased'") is True


# ---- configuration ----


@pytest.fixture
def special_admin(server):  # noqa: F811
    server.sql("CREATE ROLE \"sp@ec:ial\" LOGIN CREATEROLE PASSWORD %s", SPECIAL)
    server.sql("GRANT pg_signal_backend TO \"sp@ec:ial\"; GRANT app TO \"sp@ec:ial\" WITH ADMIN OPTION")
    yield "sp@ec:ial"
    server.sql("DROP ROLE \"sp@ec:ial\"")


def test_a_password_with_every_special_character_works_in_a_url(server, special_admin):  # noqa: F811
    with Plugin(server, host=None, port=None, dbname=None, username=special_admin, password=SPECIAL,
                connection_url=server.connection_url()) as one:
        one.end(one.mint())
        assert SPECIAL not in one.worker.log()


def test_a_unix_socket_is_a_host(server):  # noqa: F811
    with Plugin(server, host=server.socket_dir) as one:
        one.end(one.mint())


def test_a_database_name_is_never_taken_for_a_connection_string(server):  # noqa: F811
    with pytest.raises(CallFailed) as failed:
        Plugin(server, dbname="host=/nowhere user=postgres")
    assert "does not exist" in failed.value.text


def test_settings_of_role_and_database_do_not_change_what_our_statements_mean(server):  # noqa: F811
    server.sql("CREATE SCHEMA evil; CREATE FUNCTION evil.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0'; "
               "CREATE VIEW evil.pg_roles AS SELECT 1/0 AS oid; ALTER ROLE leased SET search_path = evil, pg_catalog; "
               "ALTER ROLE leased SET default_transaction_read_only = on; ALTER ROLE leased SET lock_timeout = 0; "
               "ALTER ROLE leased SET standard_conforming_strings = off; ALTER ROLE leased SET datestyle = 'SQL, DMY'")
    try:
        with Plugin(server) as one:
            account = one.mint(Account(role={"creation_statements": elements(
                [CREATE, "GRANT app TO \"{{name}}\"", "SELECT 1 / (CASE WHEN 'a\\' || 'b' = E'a\\\\b' THEN 1 ELSE 0 END)"])}))
            assert one.call("reap", {"sessions": ["1:2001-01-01 00:00:00+00"]})["results"] == [{"ok": True}]
            one.end(account)
    finally:
        server.sql("ALTER ROLE leased RESET ALL; DROP SCHEMA evil CASCADE")


def test_the_sessions_of_a_store_can_be_told_by_their_name(server, plugin):  # noqa: F811
    assert server.sql("SELECT application_name FROM pg_stat_activity WHERE usename = 'leased'") == [("leased k3x9ab test",)]


def test_a_server_that_hides_its_identity_is_named_with_the_grant(server):  # noqa: F811
    server.sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        with pytest.raises(CallFailed) as failed:
            Plugin(server)
        assert failed.value.code == "denied" and "GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO leased" in failed.value.text
    finally:
        server.sql("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")


def test_a_server_that_does_not_answer_is_unavailable_in_time(server):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(CallFailed) as failed:
            Plugin(server, port=str(silent.getsockname()[1]), connect_timeout=1)
        assert failed.value.code == "unavailable" and time.monotonic() - started < 2
        assert "127.0.0.1" in failed.value.text and "in time" in failed.value.text


# ---- sessions ----


def test_a_session_that_the_daemon_refuses_is_closed_and_nothing_was_sent(server):  # noqa: F811
    with Plugin(server, open_now=False) as one:
        one.worker.on_session = lambda session: {"code": "canceled", "text": "not now"}
        with pytest.raises(CallFailed) as failed:
            one.open()
        assert failed.value.code == "canceled"
        wait_until(lambda: server.session_count("leased") == 0)
        one.worker.on_session = None
        one.open()


def test_nothing_changes_before_the_session_is_acknowledged(server, plugin):  # noqa: F811
    """The main session is gone; the mint needs a new one, and the daemon is slow to write it down."""
    account = Account()
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'leased'")
    time.sleep(0.1)
    seen = []

    def slow(session):
        time.sleep(0.3)
        seen.append(server.role_names())

    plugin.worker.on_session = slow
    plugin.mint(account)
    assert seen == [[]] and server.role_names() == [account.name]


def test_a_connection_that_was_ended_while_idle_is_opened_again(server, plugin):  # noqa: F811
    lives = []
    for how in ("terminate", "restart", "crash"):
        account = plugin.mint()
        lives.append(plugin.call("ping")["incarnation"])
        if how == "terminate":
            server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'leased'")
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


def test_a_server_that_is_down_is_unavailable_and_a_mint_sent_nothing(server, plugin):  # noqa: F811
    server.stop()
    try:
        with pytest.raises(CallFailed) as failed:
            plugin.mint()
        assert failed.value.code == "unavailable" and failed.value.sent is False
        for op in ("disarm", "remove"):
            with pytest.raises(CallFailed) as failed:
                plugin.call(op, {"accounts": [Account().object()]})
            assert failed.value.code == "unavailable"
        with pytest.raises(CallFailed):
            plugin.call("ping")
    finally:
        server.start()
    plugin.call("ping")


def test_a_server_that_goes_down_under_a_mint_is_unavailable_and_the_worker_lives(server, plugin):  # noqa: F811
    """The server says that it ends the session: nothing of it can land later."""
    account = Account(role={"creation_statements": elements([CREATE, "SELECT pg_sleep(20)"])})
    call = plugin.worker.start("mint", {"account": account.object(), "password": account.password, "expires": "2030-01-01T00:00:00Z"})
    wait_until(lambda: server.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'leased' AND state = 'active'"))
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'leased'")
    with pytest.raises(CallFailed) as failed:
        plugin.worker.finish(call, "mint")
    assert failed.value.code == "unavailable" and failed.value.sent is True
    assert server.role_names() == []
    plugin.mint()


def test_a_connection_that_breaks_under_a_mint_ends_the_worker_so_that_its_session_is_fenced(server):  # noqa: F811
    account = Account(role={"creation_statements": elements([CREATE, "SELECT pg_sleep(20)"])})
    with Proxy((server.host, server.port)) as proxy, Plugin(server, port=str(proxy.port)) as one, Plugin(server) as second:
        call = one.worker.start("mint", {"account": account.object(), "password": account.password, "expires": "2030-01-01T00:00:00Z"})
        session = one.worker.sessions[-1][1]
        wait_until(lambda: server.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(20)%%' AND usename = 'leased'"))
        cut_clients(proxy)
        with pytest.raises(PluginGone) as gone:
            one.worker.finish(call, "mint")
        assert gone.value.status == 75 and session in one.worker.log()
        assert second.call("reap", {"sessions": [session]})["results"] == [{"ok": True}]
        second.end(account)
    time.sleep(0.3)
    assert server.role_names() == []


def cut_clients(proxy):
    """Every second socket of the proxy is a server's: that side stays open, as when a firewall forgets a connection."""
    for sock in proxy._sockets[::2]:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended already


def test_a_connection_that_breaks_under_a_read_does_not_end_the_worker(server):  # noqa: F811
    with Proxy((server.host, server.port)) as proxy, Plugin(server, port=str(proxy.port)) as one:
        account = one.mint()
        with server.connect() as holder, holder.cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE pg_catalog.pg_authid IN ACCESS EXCLUSIVE MODE")
            call = one.worker.start("inventory", {"tag": "k3x9ab"})
            time.sleep(0.3)
            cut_clients(proxy)
            with pytest.raises(CallFailed) as failed:
                one.worker.finish(call, "inventory")
            cursor.execute("ROLLBACK")
        assert failed.value.code == "unavailable"
        one.end(account)


# ---- another server ----


def test_accounts_of_another_server_at_the_same_address_are_not_touched(server, plugin):  # noqa: F811
    with Postgres() as other, Proxy((server.host, server.port)) as proxy:
        other.sql(f"ALTER ROLE leased PASSWORD '{server.admin_password}'")
        with Plugin(server, port=str(proxy.port)) as one:
            account = one.mint()
            other.sql(f"CREATE ROLE {quote_ident(account.name)} LOGIN")
            proxy.target = (other.host, other.port)
            cut_clients(proxy)
            time.sleep(0.2)
            # The worker that was opened on the one says so of every call, until it is opened anew.
            for call in (one.disarm, one.remove, lambda account: one.renew(account, 60)):
                with pytest.raises(CallFailed) as failed:
                    call(account)
                assert failed.value.code == "moved"
                assert server.system_identifier in str(failed.value) and other.system_identifier in str(failed.value)
                assert "confirm_move" in str(failed.value), "the first client is told what to do, too"
        with Plugin(server, port=str(proxy.port)) as one:
            for result in (one.disarm(account), one.remove(account)):
                text = refusal(result, "moved")
                assert server.system_identifier in text and other.system_identifier in text
            with pytest.raises(CallFailed) as failed:
                one.renew(account, 60)
            assert failed.value.code == "moved"
            gone = Account()
            gone.server = server.system_identifier
            refusal(one.disarm(gone), "moved")
        assert other.value("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", account.name) is True
    plugin.end(account)


def test_a_paused_server_makes_no_answer_and_the_kill_of_the_worker_loses_nothing(server, plugin):  # noqa: F811
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


def test_a_worker_dies_with_the_stream(server):  # noqa: F811
    with Plugin(server) as one:
        assert one.worker.close() == 0
    wait_until(lambda: server.session_count("leased") == 0)


def test_no_secret_is_in_argv_or_environment(server, plugin):  # noqa: F811
    for name in ("cmdline", "environ"):
        text = read_as_root(f"/proc/{plugin.worker.pid}/{name}")
        assert server.admin_password.encode() not in text and (text or name == "environ")
    os.kill(plugin.worker.pid, signal.SIGCONT)
