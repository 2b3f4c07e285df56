"""Making accounts on MariaDB: what they can do, what is refused and with which reason, and what no log shows."""

import contextlib

import pymysql
import pytest

from mariadb_server import is_cut, quote_name
from mysql_plugin import (CREATE, TAG, Account, CallFailed, Plugin, clean, elements, fails, plugin, refusal, server,  # noqa: F401
                          statement)
from plugin_driver import PluginGone


def ask(server, account, text, **more):
    with contextlib.closing(server.connect(account.name, account.password, **more)) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()


def refused(server, account, text):
    with pytest.raises(pymysql.err.Error):
        ask(server, account, text)
    return True


def grants(server, account):
    return sorted(row[0].split(" IDENTIFIED ")[0].split(" TO ")[0] for row in server.sql(f"SHOW GRANTS FOR {quote_name(account.name)}@'%'"))


# ---- rights ----


def test_an_account_has_the_rights_of_its_role_from_its_first_statement_on(server, plugin):
    account = plugin.mint()
    assert ask(server, account, "SELECT count(*), CURRENT_ROLE() FROM app.items") == ((2, "app"),)
    assert refused(server, account, "INSERT INTO app.items VALUES (3)")
    assert account.handle == "%" and account.server == server.server_uid == plugin.opened["server"]
    assert plugin.opened["endpoint"] == {"scheme": "mysql", "host": server.host, "port": str(server.port)}
    assert plugin.check(account) == {}


def test_an_account_that_reads_a_schema_cannot_write_it_and_one_that_writes_can(server, plugin):
    reader = plugin.mint(Account(role={"schemas": ["app"]}))
    writer = plugin.mint(Account(role={"schemas": ["app"], "access": "read-write"}))
    for account in (reader, writer):
        assert ask(server, account, "SELECT count(*) FROM app.items") == ((2,),)
        assert refused(server, account, "CREATE TABLE app.other (id int)")
        assert refused(server, account, "SELECT * FROM mysql.global_priv")
        assert plugin.check(account) == {}
    assert refused(server, reader, "DELETE FROM app.items")
    ask(server, writer, "DELETE FROM app.items WHERE id = 99")
    for account in (reader, writer):
        plugin.end(account)


def test_a_schema_with_an_underscore_gives_rights_on_itself_only(server, plugin):
    for schema in ("my_app", "myxapp"):
        server.sql(f"CREATE DATABASE {schema}")
        server.sql(f"CREATE TABLE {schema}.items (id int)")
    try:
        account = plugin.mint(Account(role={"schemas": ["my_app"]}))
        assert ask(server, account, "SELECT count(*) FROM my_app.items") == ((0,),)
        assert refused(server, account, "SELECT count(*) FROM myxapp.items")
        assert "GRANT SELECT, SHOW VIEW ON `my\\_app`.*" in grants(server, account)
    finally:
        for schema in ("my_app", "myxapp"):
            server.sql(f"DROP DATABASE {schema}")


@pytest.mark.parametrize("role,text", [
    ({"schemas": ["mysql"]}, "the server's own"), ({"schemas": ["a\\_b"]}, "cannot be named"), ({"schemas": [1]}, "list of names"),
    ({"schemas": {"a": 1}}, "list of"), ({"schemas": ["app"], "access": "all"}, "read-only or read-write"),
    ({"access": "read-only"}, "neither creation_statements"), ({"grant_roles": ["a", "b"]}, "one default role"),
    ({"grant_roles": ["app"], "access": "read-write"}, "there are none"), ({"owned_objects": "drop"}, "neither creation_statements"),
    ({"schemas": "", "grant_roles": ""}, "neither creation_statements")])
def test_a_role_that_cannot_be_right_is_invalid_before_anything_is_sent(server, plugin, role, text):
    failure = fails("invalid", plugin.mint, Account(role=role))
    assert text in failure.text and failure.sent is False
    assert server.role_names() == []


@pytest.mark.parametrize("schemas", [["my_app"], ["app", "my_app"], "my_app"])
def test_a_schema_that_is_not_there_is_found_by_check(server, plugin, schemas):
    server.sql(f"GRANT SELECT, SHOW VIEW ON `my\\_app`.* TO {server.admin} WITH GRANT OPTION")
    account = plugin.mint(Account(role={"schemas": schemas}))
    assert "no schema \"my_app\"" in fails("refused", plugin.check, account).text


def test_an_empty_role_makes_the_barest_account(server, plugin):
    account = plugin.mint(Account(role={}))
    assert grants(server, account) == ["GRANT USAGE ON *.*"] and plugin.check(account) == {}


# ---- missing grants ----


@pytest.mark.parametrize("role,text", [
    ({"grant_roles": ["nowhere"]}, "create that role"), ({"schemas": ["other"]}, "ON `other`.* TO it WITH GRANT OPTION")])
def test_what_may_not_be_granted_is_named(server, plugin, role, text):
    server.sql("CREATE DATABASE IF NOT EXISTS other")
    account = Account(role=role)
    failure = fails("refused" if "grant_roles" in role else "denied", plugin.mint, account)
    assert text in failure.text and failure.sent is True
    assert plugin.disarm(account)["ok"] and plugin.remove(account, failed_mint=True)["ok"]
    assert server.role_names() == []
    server.sql("DROP DATABASE other")


@pytest.mark.parametrize("role,proposal", [
    ({"schemas": ["x`.* TO evil; -- "[:-1]]}, "ON `x``.* TO evil; --`.* TO it"), ({"schemas": ["ap_"]}, "ON `ap\\_`.* TO it"),
    ({"schemas": ["%"]}, "ON `\\%`.* TO it"), ({"grant_roles": ["x` TO evil; --"]}, "GRANT `x`` TO evil; --` TO it")])
def test_a_proposed_grant_is_quoted_as_the_statement_itself_is(server, plugin, role, proposal):
    """Who writes roles is not who runs what an error proposes."""
    account = Account(role=role)
    failure = fails("refused" if "grant_roles" in role else "denied", plugin.mint, account)
    assert proposal in failure.text, failure.text
    assert plugin.remove(account, failed_mint=True)["ok"]


def test_an_account_for_another_host_says_what_it_needs(server, plugin):
    create = "CREATE USER '{{name}}'@'10.0.0.%' IDENTIFIED BY '{{password}}'"
    account = plugin.mint(Account(role={"creation_statements": elements([create])}))
    text = fails("denied", plugin.check, account).text
    assert "from 10.0.0.% only" in text and "verify_role=false" in text, text


@pytest.fixture
def poor(server):
    """An administrator who may not do anything yet."""
    server.sql("CREATE USER poor@'%' IDENTIFIED BY 'poor-Password'")
    yield {"username": "poor", "password": "poor-Password"}
    server.sql("DROP USER poor@'%'")


def test_each_grant_that_the_administrator_lacks_is_named_in_turn(server, poor):
    def attempt(role):
        with Plugin(server, **poor) as plugin:
            account = Account(role=role)
            plugin.mint(account)
            plugin.check(account)
            plugin.end(account)

    steps = [("CREATE USER ON *.*", {}), ("SELECT ON mysql.global_priv", {}), ("PROCESS ON *.*", {}), ("CONNECTION ADMIN ON *.*", {})]
    for grant, role in steps:
        failure = fails("denied", attempt, role)
        assert f"GRANT {grant.split(' ON ')[0]} ON " in failure.text, failure.text
        server.sql(f"GRANT {grant} TO poor@'%'")
        server.drop_accounts()
    attempt({})
    assert "GRANT `app` TO it WITH ADMIN OPTION" in fails("denied", attempt, {"grant_roles": ["app"]}).text
    server.sql("GRANT app TO poor@'%' WITH ADMIN OPTION")
    server.drop_accounts()
    attempt({"grant_roles": ["app"]})


def test_an_account_without_a_name_that_stands_in_front_is_found(server, plugin):
    server.sql("CREATE USER ''@'127.0.0.1'")
    try:
        failure = fails("denied", plugin.check, plugin.mint(Account(role={"schemas": ["app"]})))
        assert "DROP USER ''@'127.0.0.1'" in failure.text
    finally:
        server.sql("DROP USER ''@'127.0.0.1'")
    server.sql("CREATE USER ''@'127.0.0.1' IDENTIFIED BY 'x'")
    try:
        assert "DROP USER ''@'127.0.0.1'" in fails("denied", plugin.mint).text
        assert "DROP USER ''@'127.0.0.1'" in fails("denied", plugin.check, plugin.mint(Account(role={"schemas": ["app"]}))).text
    finally:
        server.sql("DROP USER ''@'127.0.0.1'")


# ---- passwords ----


def test_no_password_is_in_the_logs_of_the_server_or_the_worker(server, plugin):
    broken = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' LOGGIN"
    good = [Account(), Account(role={"creation_statements": elements([CREATE])}), Account(role={"schemas": ["app"], "access": "read-write"})]
    bad = [Account(role={"creation_statements": elements([broken])}), Account(role={"creation_statements": elements([CREATE, "SELECT 1 FROM nowhere.x"])})]
    for account in good:
        plugin.mint(account)
        plugin.call("set_password", {"account": account.object(), "password": account.password + "x"})
    for account in bad:
        with pytest.raises(CallFailed) as failed:
            plugin.mint(account)
        assert account.password not in failed.value.text
    log = server.log() + plugin.worker.log()
    assert good[0].name in log and "mysql_native_password" in log, "the canary: statements are in the log"
    for account in good + bad:
        assert account.password not in log


def test_a_password_is_sent_where_the_configuration_says_so_and_no_error_shows_it(server):
    with Plugin(server, password_authentication="password") as plugin:
        account = plugin.mint()
        assert server.can_login(account.name, account.password)
        broken = Account(role={"creation_statements": elements(["CREATE USER '{{name}}'@'%' LOGGIN '{{password}}'"])})
        assert broken.password not in fails("refused", plugin.mint, broken).text


def test_a_server_that_judges_passwords_says_what_to_do(server):
    server.sql("INSTALL SONAME 'simple_password_check'")
    try:
        with Plugin(server) as plugin:
            assert "password_authentication = password" in fails("refused", plugin.mint).text
        with Plugin(server, password_authentication="password") as plugin:
            account = Account()
            account.password = "Aa1-" + account.password
            assert server.can_login(plugin.mint(account).name, account.password)
    finally:
        server.sql("UNINSTALL SONAME 'simple_password_check'")


# ---- statements of a role ----


def test_statements_of_a_role_make_the_account_and_its_host_is_remembered(server, plugin):
    role = {"creation_statements": elements(["CREATE USER `{{name}}`@'127.0.0.%' IDENTIFIED BY '{{password}}'",
                                             "GRANT SELECT ON app.* TO '{{name}}'@'127.0.0.%'"])}
    account = plugin.mint(Account(role=role))
    assert account.handle == "127.0.0.%"
    assert ask(server, account, "SELECT count(*) FROM app.items") == ((2,),)
    plugin.end(account)
    assert server.role_names() == []


def test_accounts_for_two_hosts_are_one(server, plugin):
    role = {"creation_statements": elements(["CREATE USER '{{name}}'@'127.0.0.1' IDENTIFIED BY '{{password}}'"], [CREATE])}
    account = plugin.mint(Account(role=role))
    session = server.connect(account.name, account.password)
    assert plugin.disarm(account)["ok"] is True
    assert is_cut(session) and not server.can_login(account.name, account.password)
    server.sql(f"DROP USER {quote_name(account.name)}@'127.0.0.1'")
    assert not server.can_login(account.name, account.password), "both were locked"
    plugin.end(account)
    assert server.role_names() == []


def test_a_statement_that_changes_how_names_are_quoted_is_refused(server, plugin):
    for mode in ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"):
        account = Account(role={"creation_statements": elements([f"SET sql_mode = '{mode}'", CREATE])})
        assert "sql_mode" in fails("refused", plugin.mint, account).text
    account = Account(role={"creation_statements": elements(["SET NAMES gbk", CREATE])})
    assert "character set" in fails("refused", plugin.mint, account).text
    assert server.role_names() == []


def test_what_statements_set_does_not_outlive_their_call(server, plugin):
    role = {"creation_statements": elements([CREATE, "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"], )}
    plugin.mint(Account(role=role))
    plugin.mint(Account(f"l-{TAG}-\\'\"", role={}))
    failing = Account(role={"creation_statements": elements([CREATE, "SET sql_mode = ''"], ["SELECT 1 FROM nowhere.x"])})
    assert "creation_statements, element 2" in fails("denied", plugin.mint, failing).text
    with pytest.raises(Exception):
        plugin.mint(Account(role={"creation_statements": elements([f"GRANT SELECT ON app.* TO '{{{{name}}}}'@'%'"])}))
    assert len(server.role_names()) == 3, "a GRANT made an account"


def test_a_grant_never_makes_an_account(server, plugin):
    role = {"creation_statements": elements(["GRANT SELECT ON app.* TO '{{name}}'@'%'"])}
    assert fails("refused", plugin.mint, Account(role=role)).text
    assert server.role_names() == []


def test_statements_that_make_no_account_are_refused(plugin):
    assert "must create {{name}}" in fails("refused", plugin.mint, Account(role={"creation_statements": elements(["DO 1"])})).text


@pytest.mark.parametrize("role", [None, {"creation_statements": elements(["ALTER USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"])}])
def test_a_mint_over_an_account_says_exists_and_leaves_its_password(server, plugin, role):
    account = plugin.mint()
    again = Account(account.name, role)
    assert fails("exists", plugin.mint, again).sent is (role is None)
    assert server.can_login(account.name, account.password) and not server.can_login(account.name, again.password)


def test_own_statements_for_the_end_and_for_a_failed_mint(server, plugin):
    role = {"creation_statements": elements([CREATE, "CREATE DATABASE IF NOT EXISTS scratch_app"], ["SELECT 1 FROM nowhere.x"]),
            "rollback_statements": elements(["SELECT 1 FROM nowhere.y"]),
            "revocation_statements": elements(["DO 1"])}
    account = Account(role=role)
    with pytest.raises(Exception):
        plugin.mint(account)
    assert "still there" in refusal(plugin.remove(account, failed_mint=True), "refused")
    account.role["revocation_statements"] = elements(["DROP USER '{{name}}'@'%'"])
    assert plugin.remove(account)["ok"] is True
    assert server.role_names() == []


# ---- hostile names under every sql_mode ----

HOSTILE = ["l-'; DROP TABLE app.canary; --", "l-\"; DROP TABLE app.canary;", "l-`; DROP TABLE x;--", "l-\\'; DROP --", "l-\\\\\\", "l-%n%s%d_",
           "l-;--;/*", "l-/*!1*/", "l-\t\n\r\x01\x1f", "l-{{name}}", "x" * 32, "l-\u00e9\u4e2d", "' OR 1=1 --", "a@b", "`@`%", "%", "_"]
TOO_LONG = ["x" * 33, "x" * 63, "x" * 64, "x" * 80, "x" * 81, "\u4e2d" * 11]
UNHOLDABLE = ["x ", "\U0001f600"]
NO_TEXT = ["l-a\x00b", "l-\ud800x"]  # a NUL, and what is no UTF-8
MODES = ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES,ANSI", "STRICT_ALL_TABLES"]


@pytest.mark.parametrize("mode", MODES)
def test_hostile_names_work_or_are_refused_and_a_canary_is_untouched(server, mode):
    before = server.value("SELECT @@global.sql_mode")
    server.sql("SET GLOBAL sql_mode = %s", mode)
    server.sql("CREATE TABLE app.canary (id int)")
    server.sql("CREATE USER canary@'%' IDENTIFIED BY 'canary'")
    custom = {"creation_statements": elements([CREATE, "GRANT SELECT ON app.* TO `{{name}}`@'%'"])}
    try:
        with Plugin(server) as plugin:
            for name in HOSTILE:
                for role in (None, {"schemas": ["app"]}, custom):
                    account = Account(name, role)
                    account.password = "p'\\\"`%;--" + account.password
                    plugin.mint(account)
                    assert ask(server, account, "SELECT count(*) FROM app.items") == ((2,),)
                    assert plugin.check(account) == {} and plugin.renew(account) == {}
                    plugin.end(account)
            for name in TOO_LONG + UNHOLDABLE:
                assert fails("invalid", plugin.mint, Account(name)).sent is False
                refusal(plugin.disarm(Account(name)), "invalid")
                refusal(plugin.remove(Account(name)), "invalid")
        for name in NO_TEXT:
            with Plugin(server) as plugin, pytest.raises(PluginGone):
                plugin.mint(Account(name))
        assert server.can_login("canary", "canary")
        assert server.value("SELECT count(*) FROM app.canary") == 0
        users = {row[0] for row in server.sql("SELECT User FROM mysql.global_priv")}
        assert users == {"root", "mariadb.sys", "leased", "app", "canary"}
    finally:
        server.sql("SET GLOBAL sql_mode = %s", before)
        server.sql("DROP TABLE app.canary")
        server.sql("DROP USER canary@'%'")
