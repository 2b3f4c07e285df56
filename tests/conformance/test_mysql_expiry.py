"""The end of accounts without us: events of MariaDB, where the configuration wants them."""

import time

import pytest

from mariadb_server import MariaDB, is_cut, quote_name
from mysql_plugin import CREATE, Account, Plugin, clean, elements, fails  # noqa: F401
from pg import wait_until

EVENTS = {"expiry_event": True, "event_schema": "leased_events"}


class Server(MariaDB):
    def make_admin(self):
        super().make_admin()
        self.sql("CREATE DATABASE leased_events")
        self.sql(f"GRANT EVENT ON leased_events.* TO {self.admin}")


@pytest.fixture(scope="module")
def server():
    with Server(settings={"event_scheduler": "ON"}) as one:
        yield one


@pytest.fixture
def plugin(server):
    with Plugin(server, **EVENTS) as one:
        assert one.opened["native_expiry"] is True
        yield one


def events(server):
    return server.sql("SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'leased_events'")


@pytest.mark.parametrize("role", [{"grant_roles": ["app"]}, {"creation_statements": elements([CREATE])}], ids=["default", "statements"])
def test_an_account_ends_by_itself_with_its_sessions_and_a_renewal_lets_it_in_again(server, plugin, role):
    account = plugin.mint(Account(role=role), seconds=2)
    assert events(server) == [(account.name, "ENABLED")]
    session = server.connect(account.name, account.password)
    wait_until(lambda: not server.can_login(account.name, account.password), timeout_s=8)
    wait_until(lambda: is_cut(session), timeout_s=3)
    assert plugin.renew(account, 60) == {}
    assert server.can_login(account.name, account.password) and events(server) == [(account.name, "ENABLED")]
    plugin.end(account)
    assert events(server) == []


def test_a_renewal_moves_the_end_both_ways(server, plugin):
    account = plugin.mint(seconds=2)
    plugin.renew(account, 3600)
    time.sleep(4)
    assert server.can_login(account.name, account.password)
    plugin.renew(account, 1)
    wait_until(lambda: not server.can_login(account.name, account.password), timeout_s=8)
    plugin.end(account)
    assert events(server) == []


def test_a_renewal_does_not_undo_a_lock_by_hand_or_a_disarm(server, plugin):
    account, ended = plugin.mint(), plugin.mint()
    server.sql(f"ALTER USER {quote_name(account.name)}@'%' ACCOUNT LOCK")
    assert plugin.disarm(ended)["ok"] is True
    for one in (account, ended):
        plugin.renew(one, 7200)
        assert not server.can_login(one.name, one.password)
        plugin.end(one)
    assert events(server) == []


def test_names_of_all_kinds_have_events(server, plugin):
    for name in ("l-'\"`\\;--", "l-%n_\u00e9\u4e2d"):
        account = plugin.mint(Account(name), seconds=1)
        wait_until(lambda: not server.can_login(name, account.password), timeout_s=8)
        plugin.end(account)
    assert events(server) == []


def test_the_event_of_an_account_that_was_dropped_by_hand_goes_with_remove(server, plugin):
    account = plugin.mint()
    server.sql(f"DROP USER {quote_name(account.name)}@'%'")
    plugin.end(account)
    assert events(server) == []


def test_a_missing_grant_is_named_and_a_scheduler_that_is_off_is_a_warning(server):
    server.sql("CREATE DATABASE elsewhere")
    with Plugin(server, expiry_event=True, event_schema="elsewhere") as plugin:
        account = Account()
        assert "GRANT EVENT ON `elsewhere`.*" in fails("denied", plugin.mint, account).text
        assert plugin.disarm(account)["ok"] is True
    server.sql("SET GLOBAL event_scheduler = OFF")
    try:
        with Plugin(server, **EVENTS) as plugin:
            assert "native_expiry" not in plugin.opened
            (warning,) = plugin.opened["warnings"]
            assert "event_scheduler = ON" in warning
            plugin.end(plugin.mint())
    finally:
        server.sql("SET GLOBAL event_scheduler = ON")
        server.sql("DROP DATABASE elsewhere")


def test_what_an_account_defined_stays_and_what_acts_by_itself_ends_with_it(server, plugin):
    """A lock alone lets its events go on: why an account that defined something is dropped all the same."""
    account = plugin.mint()
    server.sql("CREATE TABLE app.ticks (id int)")
    server.sql(f"GRANT ALL ON app.* TO {quote_name(account.name)}@'%'")
    try:
        for statement in ("CREATE VIEW app.theirs AS SELECT 1 AS one", "CREATE EVENT app.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO app.ticks VALUES (1)"):
            server.sql(statement, user=account.name, password=account.password)
        assert plugin.disarm(account)["ok"] is True
        ticks = server.value("SELECT count(*) FROM app.ticks")
        wait_until(lambda: server.value("SELECT count(*) FROM app.ticks") > ticks, what="the premise: the event of a locked account")
        assert plugin.remove(account) == {"ok": True}
        time.sleep(0.5)
        ticks = server.value("SELECT count(*) FROM app.ticks")
        time.sleep(2.5)
        assert server.value("SELECT count(*) FROM app.ticks") == ticks
        assert server.value("SELECT count(*) FROM information_schema.VIEWS WHERE TABLE_NAME = 'theirs'") == 1
    finally:
        for statement in ("DROP VIEW IF EXISTS app.theirs", "DROP EVENT IF EXISTS app.tick", "DROP TABLE app.ticks"):
            server.sql(statement)
