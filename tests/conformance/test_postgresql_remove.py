"""Removing accounts on PostgreSQL: everything of ours goes, nothing of a user's does, and what is in the way is named."""

import pytest

from pg import quote_ident
from pg_plugin import Account, CREATE, clean, elements, other_database, plugin, refusal, server  # noqa: F401

GRANT = "GRANT SELECT ON public.granted TO \"{{name}}\""


def creation(*statements):
    return {"creation_statements": elements([CREATE, *statements])}


def as_account(server, account, statement, dbname="postgres"):
    return server.sql(statement, user=account.name, password=account.password, dbname=dbname)


@pytest.fixture
def granted(server):
    """A table whose rights our administrator may grant."""
    server.sql("CREATE TABLE public.granted (id int, other int); GRANT ALL ON public.granted TO leased WITH GRANT OPTION")
    yield
    server.sql("DROP TABLE public.granted CASCADE")


@pytest.fixture
def owning(server):
    """Accounts may make tables."""
    server.sql("GRANT CREATE ON SCHEMA public TO app")
    yield
    server.sql("REVOKE CREATE ON SCHEMA public FROM app")


def memberships(server, account):
    return server.value("SELECT count(*) FROM pg_auth_members WHERE roleid = (SELECT oid FROM pg_roles WHERE rolname = %s) "
                        "AND member = 'leased'::regrole", account.name)


def test_grants_of_ours_are_taken_back_and_the_role_dropped(server, plugin, granted):
    account = plugin.mint(Account(role=creation(GRANT, "GRANT UPDATE (other) ON public.granted TO \"{{name}}\"")))
    assert as_account(server, account, "SELECT count(*) FROM public.granted") == [(0,)]
    plugin.end(account)
    assert server.role_names() == []


def test_every_kind_of_grant_of_ours_is_taken_back(server, plugin, granted):
    server.sql("CREATE SCHEMA s; CREATE SEQUENCE s.q; CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; "
               "CREATE DOMAIN s.d AS int; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER v FOREIGN DATA WRAPPER w; "
               "SELECT lo_create(4711); CREATE PROCEDURE s.\"p'r\"(int) LANGUAGE sql AS 'SELECT 1'")
    targets = ["SCHEMA s", "SEQUENCE s.q", "FUNCTION s.f(int)", "DOMAIN s.d", "FOREIGN DATA WRAPPER w", "FOREIGN SERVER v",
               "LARGE OBJECT 4711", "DATABASE postgres", "PROCEDURE s.\"p'r\"(int)", "LANGUAGE sql"]
    for target in targets:
        server.sql(f"GRANT ALL ON {target} TO leased WITH GRANT OPTION")
    try:
        account = plugin.mint(Account(role=creation(GRANT, *[f"GRANT ALL ON {target} TO \"{{{{name}}}}\"" for target in targets])))
        plugin.end(account)
        assert server.role_names() == []
    finally:
        server.sql("DROP SCHEMA s CASCADE; DROP FOREIGN DATA WRAPPER w CASCADE; SELECT lo_unlink(4711); "
                   "REVOKE ALL ON DATABASE postgres FROM leased; REVOKE ALL ON LANGUAGE sql FROM leased")


def test_grants_in_other_databases_are_taken_back_there(server, plugin, other_database):
    account = plugin.mint()
    server.sql("CREATE TABLE public.there (id int); GRANT ALL ON public.there TO leased WITH GRANT OPTION", dbname=other_database)
    server.sql(f"GRANT SELECT ON public.there TO {quote_ident(account.name)}", dbname=other_database, user="leased")
    sessions = len(plugin.worker.sessions)
    plugin.end(account)
    assert server.role_names() == []
    assert len(plugin.worker.sessions) > sessions, "each session there was registered"
    assert set(plugin.worker.ended_sessions) == {session for _, session in plugin.worker.sessions[sessions:]}


def test_a_database_that_we_may_not_enter_is_named(server, plugin, other_database):
    name = quote_ident(other_database)
    account = plugin.mint()
    server.sql(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC, leased")
    server.sql(f"CREATE TABLE public.there (id int); GRANT SELECT ON public.there TO {quote_ident(account.name)}", dbname=other_database)
    plugin.disarm(account)
    text = refusal(plugin.remove(account), "denied")
    assert "GRANT CONNECT ON DATABASE" in text and other_database in text
    server.sql(f"GRANT CONNECT ON DATABASE {name} TO leased")
    server.sql("DROP TABLE public.there", dbname=other_database)
    assert plugin.remove(account) == {"ok": True}


def test_grants_of_others_are_named_and_left(server, plugin):
    account = plugin.mint()
    server.sql("CREATE ROLE alice; GRANT CREATE ON SCHEMA public TO alice; SET ROLE alice; CREATE TABLE public.hers (id int); "
               f"GRANT SELECT ON public.hers TO {quote_ident(account.name)}")
    try:
        plugin.disarm(account)
        text = refusal(plugin.remove(account), "refused")
        assert "hers" in text and "alice" in text and "REVOKE" in text
        assert server.value("SELECT has_table_privilege(%s, 'public.hers', 'SELECT')", account.name) is True
        assert memberships(server, account) == 0, "our membership was only for the attempt"
        server.sql(f"REVOKE SELECT ON public.hers FROM {quote_ident(account.name)}")
        assert plugin.remove(account) == {"ok": True}
    finally:
        server.sql("DROP TABLE public.hers; REVOKE CREATE ON SCHEMA public FROM alice; DROP ROLE alice")


def test_grants_of_ours_go_although_those_of_others_stay(server, plugin, granted):
    account = plugin.mint(Account(role=creation(GRANT)))
    server.sql(f"CREATE TABLE public.theirs (id int); GRANT SELECT ON public.theirs TO {quote_ident(account.name)}")
    try:
        plugin.disarm(account)
        text = refusal(plugin.remove(account), "refused")
        assert "theirs" in text and "granted" not in text.replace("is granted", "")
        assert server.value("SELECT has_table_privilege(%s, 'public.granted', 'SELECT')", account.name) is False
    finally:
        server.sql("DROP TABLE public.theirs")


def test_a_role_that_owns_a_table_stays_disarmed_and_goes_once_the_table_is_gone(server, plugin, owning):
    account = plugin.mint()
    as_account(server, account, "CREATE TABLE public.theirs (id int); INSERT INTO public.theirs VALUES (7)")
    assert plugin.disarm(account)["ok"] is True
    for _ in range(2):
        text = refusal(plugin.remove(account), "refused")
        assert "owns table public.theirs" in text and "postgres" in text and "owned_objects" in text
    assert server.value("SELECT id FROM public.theirs") == 7
    assert not server.can_login(account.name, account.password)
    assert memberships(server, account) == 0
    server.sql("DROP TABLE public.theirs")
    assert plugin.remove(account) == {"ok": True}
    assert server.role_names() == []


def test_what_is_owned_in_another_database_counts_and_nothing_is_dropped_anywhere(server, plugin, other_database, granted):
    account = plugin.mint(Account(role=creation(GRANT)))
    server.sql(f"CREATE TABLE public.far (id int); ALTER TABLE public.far OWNER TO {quote_ident(account.name)}; "
               "INSERT INTO public.far VALUES (1)", dbname=other_database)
    plugin.disarm(account)
    text = refusal(plugin.remove(account), "refused")
    assert "far" in text and other_database in text
    assert server.value("SELECT count(*) FROM public.far", dbname=other_database) == 1


def test_a_schema_a_function_and_a_database_are_owned_things_too(server, plugin):
    for make, drop in (("CREATE SCHEMA theirs AUTHORIZATION {}", "DROP SCHEMA theirs"),
                       ("CREATE FUNCTION public.theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION public.theirs() OWNER TO {}",
                        "DROP FUNCTION public.theirs()"),
                       ("CREATE DATABASE theirs OWNER {}", "DROP DATABASE theirs")):
        account = plugin.mint()
        server.sql(make.format(quote_ident(account.name)))
        plugin.disarm(account)
        assert "theirs" in refusal(plugin.remove(account), "refused")
        server.sql(drop)
        assert plugin.remove(account) == {"ok": True}


def test_default_privileges_and_user_mappings_hold_no_data_and_go(server, plugin):
    server.sql("CREATE FOREIGN DATA WRAPPER w; CREATE SERVER v FOREIGN DATA WRAPPER w")
    account = plugin.mint()
    name = quote_ident(account.name)
    server.sql(f"ALTER DEFAULT PRIVILEGES FOR ROLE {name} GRANT SELECT ON TABLES TO app; CREATE USER MAPPING FOR {name} SERVER v")
    try:
        plugin.end(account)
        assert server.role_names() == []
    finally:
        server.sql("DROP FOREIGN DATA WRAPPER w CASCADE")


def test_a_row_security_policy_for_the_role_does_not_keep_it(server, plugin):
    account = plugin.mint()
    server.sql(f"CREATE TABLE public.secured (id int); ALTER TABLE public.secured OWNER TO app; "
               f"CREATE POLICY only_them ON public.secured TO {quote_ident(account.name)} USING (true)")
    try:
        plugin.end(account)
    finally:
        server.sql("DROP TABLE public.secured")


def test_temporary_tables_of_a_crashed_session_do_not_keep_the_role(server, plugin):
    account = plugin.mint()
    session = server.connect(account.name, account.password)
    with session.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE scratch (id int)")
    pid = session.info.backend_pid
    server.sql("ALTER SYSTEM SET autovacuum = off")
    server.sql("SELECT pg_reload_conf()")
    import os
    import signal
    os.kill(pid, signal.SIGKILL)  # the server restarts its sessions, the table stays
    from pg import wait_until
    wait_until(lambda: server.can_login("leased", server.admin_password), 20, "the server")
    try:
        assert server.value("SELECT count(*) FROM pg_class WHERE relname = 'scratch'") == 1, "the premise"
        plugin.end(account)
        assert server.role_names() == []
    finally:
        server.sql("ALTER SYSTEM RESET autovacuum")
        server.sql("SELECT pg_reload_conf()")


def test_owned_objects_reassign_gives_them_to_the_role_that_it_names(server, plugin, owning):
    server.sql("CREATE ROLE \"he'ir\"; GRANT CREATE ON SCHEMA public TO \"he'ir\"")
    account = plugin.mint(Account(role={"grant_roles": ["app"], "owned_objects": "reassign he'ir"}))
    as_account(server, account, "CREATE TABLE public.theirs (id int); INSERT INTO public.theirs VALUES (7)")
    try:
        plugin.disarm(account)
        text = refusal(plugin.remove(account), "denied")
        assert "GRANT \"he'ir\" TO \"leased\"" in text
        server.sql("GRANT \"he'ir\" TO leased")
        assert plugin.remove(account) == {"ok": True}
        assert server.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'theirs'") == [("he'ir",)]
        assert server.value("SELECT id FROM public.theirs") == 7
    finally:
        server.sql("DROP TABLE public.theirs; DROP OWNED BY \"he'ir\"; DROP ROLE \"he'ir\"")


def test_owned_objects_drop_drops_them(server, plugin, owning, other_database):
    account = plugin.mint(Account(role={"grant_roles": ["app"], "owned_objects": "drop"}))
    as_account(server, account, "CREATE TABLE public.theirs (id int)")
    server.sql(f"CREATE TABLE public.far (id int); ALTER TABLE public.far OWNER TO {quote_ident(account.name)}", dbname=other_database)
    plugin.end(account)
    assert server.value("SELECT count(*) FROM pg_class WHERE relname = 'theirs'") == 0
    assert server.value("SELECT count(*) FROM pg_class WHERE relname = 'far'", dbname=other_database) == 0


def test_owned_objects_drop_does_not_take_what_others_built_on_them(server, plugin, owning):
    account = plugin.mint(Account(role={"grant_roles": ["app"], "owned_objects": "drop"}))
    as_account(server, account, "CREATE TABLE public.theirs (id int)")
    server.sql("CREATE VIEW public.mine AS SELECT * FROM public.theirs")
    try:
        plugin.disarm(account)
        assert "theirs" in refusal(plugin.remove(account), "refused")
        assert server.sql("SELECT * FROM public.mine") == []
    finally:
        server.sql("DROP VIEW public.mine; DROP TABLE public.theirs")


def test_an_unknown_owned_objects_is_invalid(server, plugin, owning):
    account = plugin.mint(Account(role={"grant_roles": ["app"], "owned_objects": "burn"}))
    as_account(server, account, "CREATE TABLE public.theirs (id int)")
    plugin.disarm(account)
    assert "owned_objects" in refusal(plugin.remove(account), "invalid")
    server.sql("DROP TABLE public.theirs")


def test_revocation_statements_stand_for_the_drop_but_not_for_the_disarm(server, plugin, granted):
    role = creation(GRANT) | {"revocation_statements": elements(
        ["REVOKE ALL ON public.granted FROM \"{{name}}\""], ["DROP ROLE \"{{name}}\""])}
    account = plugin.mint(Account(role=role))
    session = server.connect(account.name, account.password)
    assert plugin.remove(account) == {"ok": True}
    assert server.role_names() == [] and session.info.backend_pid not in [row[0] for row in server.sql("SELECT pid FROM pg_stat_activity")]


def test_revocation_statements_that_leave_the_role_are_refused(server, plugin):
    account = plugin.mint(Account(role=creation() | {"revocation_statements": elements(["SELECT 1"])}))
    plugin.disarm(account)
    assert "DROP ROLE" in refusal(plugin.remove(account), "refused")
    account.role["revocation_statements"] = elements(["SELECT 1/0"])
    assert "revocation_statements, element 1" in refusal(plugin.remove(account), "refused")
    assert server.role_names() == [account.name]


def test_rollback_statements_run_before_the_drop_of_a_failed_mint_only(server, plugin):
    rollback = {"rollback_statements": elements(["COMMENT ON ROLE app IS '{{name}}'"])}
    server.sql("GRANT app TO leased WITH ADMIN OPTION")
    live = plugin.mint(Account(role=creation() | rollback))
    plugin.disarm(live)
    assert plugin.remove(live) == {"ok": True}
    comment = "SELECT shobj_description('app'::regrole, 'pg_authid')"
    assert server.value(comment) is None
    failed = plugin.mint(Account(role=creation() | rollback))
    plugin.disarm(failed)
    assert plugin.remove_all([failed], failed_mint=True) == [{"ok": True}]
    assert server.value(comment) == failed.name
    server.sql("COMMENT ON ROLE app IS NULL")


def test_rollback_statements_that_fail_do_not_keep_the_role(server, plugin):
    account = plugin.mint(Account(role=creation() | {"rollback_statements": elements(["SELECT 1/0"])}))
    plugin.disarm(account)
    assert plugin.remove_all([account], failed_mint=True) == [{"ok": True}]
    assert "division by zero" in plugin.worker.log()
    assert server.role_names() == []


def test_what_does_not_fit_into_the_deadline_waits_for_the_next_call(server, plugin):
    slow = {"revocation_statements": elements(["SELECT pg_sleep(0.6)", "DROP ROLE \"{{name}}\""])}
    accounts = [plugin.mint(Account(role=creation() | slow)) for _ in range(4)]
    results = plugin.remove_all(accounts, deadline_ms=2000)
    codes = [result["ok"] or result["error"]["code"] for result in results]
    assert codes[0] is True and codes[-1] == "timed_out", codes
    assert all(result["ok"] for result in plugin.remove_all(accounts, deadline_ms=10000))
    assert server.role_names() == []


def test_a_lock_on_one_role_refuses_that_account_alone(server, plugin):
    accounts = [plugin.mint() for _ in range(3)]
    plugin.disarm_all(accounts)
    with server.connect() as holder:
        holder.set_session(autocommit=False)
        with holder.cursor() as cursor:
            cursor.execute(f"COMMENT ON ROLE {quote_ident(accounts[1].name)} IS 'held'")
            results = plugin.remove_all(accounts)
            holder.rollback()
    assert [result["ok"] for result in results] == [True, False, True], results
    assert "lock" in refusal(results[1], "refused")
    assert plugin.remove(accounts[1]) == {"ok": True}
