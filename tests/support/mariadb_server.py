"""A throw-away MariaDB server for tests.

    with MariaDB() as server:
        server.sql("SELECT 1")                      # as root, over its socket
        server.config()                             # a connection config for the plugin, as the admin `leased`

The admin is what docs/how-to/mysql.md tells people to make: no SUPER and no rights on data, but what accounts need, with the
right to hand on the role `app`, which may read the database `app`.
"""

import contextlib
import secrets

import pymysql
import pymysql.err

from pg import free_port
from server_process import ServerProcess

# What docs/how-to/mysql.md has, for the admin that accounts get a role from.
ADMIN_GRANTS = (
    "GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO {admin}",
    "GRANT SELECT ON mysql.global_priv TO {admin}",
    "GRANT {role} TO {admin} WITH ADMIN OPTION",
)


def admin_grants(admin, role):
    return [grant.format(admin=admin, role=role) for grant in ADMIN_GRANTS]


def quote_name(name):
    return "`" + name.replace("`", "``") + "`"


def quote_literal(text):
    """Right under every sql_mode: what a backslash would mean in one of them is refused."""
    assert "\\" not in text
    return "'" + text.replace("'", "''") + "'"


class MariaDB(ServerProcess):
    """
    settings: options of mariadbd ("sql_mode", "event_scheduler"); None as a value: the option alone. admin=False: neither the
    admin nor the role is made.
    """

    label = "mariadb"
    log_names = ("log", "statements")
    user_names = ("mysql", "nobody")
    not_yet = (pymysql.err.Error,)

    # What tests of every database ask for (pg.py has the same names).
    plugin_name = "mysql-database-plugin"
    errors = (pymysql.err.OperationalError, pymysql.err.InterfaceError, OSError)  # of a connection
    create_statement = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"
    create_word = b"CREATE USER"  # what a mint sends
    failing_statement = "INSERT INTO nowhere.nothing VALUES (1)"
    names_sql = "SELECT DISTINCT User FROM mysql.global_priv WHERE LOCATE(%s, User) = 1 ORDER BY BINARY User"
    # The runs of a daemon that have sessions here, by its mark; the latest is the last. Needs performance_schema.
    runs_sql = ("SELECT SUBSTRING_INDEX(ATTR_VALUE, ' ', -1), MIN(PROCESSLIST_ID) FROM performance_schema.session_connect_attrs "
                "WHERE ATTR_NAME = 'program_name' AND ATTR_VALUE LIKE %s GROUP BY 1 ORDER BY 2")

    def __init__(self, settings=None, tls=False, fsync=False, group_role="app", admin_password=None, admin=True):
        super().__init__()
        self.port = free_port()
        self.settings = dict(settings or {})
        self.tls = tls
        self.fsync = fsync
        self.group_role = group_role
        self.database = "app"
        self.admin_user, self.admin_host = "leased", "%"
        self.admin_password = admin_password or secrets.token_urlsafe(18)
        self.has_admin = admin
        self.super_password = ""
        self.server_pair = None

    # ---- life ----

    @property
    def socket_path(self):
        return str(self.directory / "socket")

    @property
    def data(self):
        return self.directory / "data"

    def prepare(self):
        if self.tls:
            self.server_pair = self.make_certificates()
        self.write_settings()
        self.own_all()
        self.run_tool("mariadb-install-db", f"--defaults-file={self.directory / 'my.cnf'}", "--skip-test-db", "--skip-name-resolve",
                      "--auth-root-authentication-method=normal")

    def write_settings(self):
        settings = {
            "datadir": self.data, "socket": self.socket_path, "pid_file": self.directory / "pid", "port": self.port,
            "bind_address": self.host, "general_log": "ON", "general_log_file": self.directory / "statements",
            "character_set_server": "utf8mb4", "skip_log_bin": None, "performance_schema": "OFF",
            "innodb_buffer_pool_size": "24M", "innodb_log_file_size": "8M", "key_buffer_size": "1M",
            "aria_pagecache_buffer_size": "8M", "lc_messages": "en_US",
        }
        if not self.fsync:
            settings |= {"debug_no_sync": "ON", "innodb_flush_log_at_trx_commit": 0}
        if self.tls:
            certificate, key = self.server_pair
            settings |= {"ssl_ca": self.ca_file, "ssl_cert": certificate, "ssl_key": key, "require_secure_transport": "ON"}
        settings |= self.settings
        lines = [name if value is None else f"{name} = {value}" for name, value in settings.items()]
        (self.directory / "my.cnf").write_text("[mariadbd]\n" + "\n".join(lines) + "\n")

    def command(self):
        return ["mariadbd", f"--defaults-file={self.directory / 'my.cnf'}"]

    def answers(self):
        self.connect().close()
        return True

    def first(self):
        password = secrets.token_urlsafe(18)
        self.quietly(f"SET PASSWORD FOR root@localhost = PASSWORD({quote_literal(password)})")
        self.super_password = password
        # MariaDB makes more of them, by address, and none has a password.
        for host in self.sql("SELECT Host FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost'"):
            self.sql(f"DROP USER root@{quote_literal(host[0])}")
        database = quote_name(self.database)
        self.quietly(f"CREATE DATABASE {database}", f"CREATE TABLE {database}.items (id int)",
                     f"INSERT INTO {database}.items VALUES (1), (2)")
        if self.has_admin:
            self.make_admin()

    def make_admin(self):
        role = quote_name(self.group_role)
        self.quietly(f"CREATE ROLE {role}", f"GRANT SELECT ON {quote_name(self.database)}.* TO {role}",
                     f"CREATE USER {self.admin} IDENTIFIED BY {quote_literal(self.admin_password)}",
                     *admin_grants(self.admin, role))

    @property
    def admin(self):
        """Its account as statements name it."""
        return f"{quote_name(self.admin_user)}@{quote_literal(self.admin_host)}"

    def config(self, **more):
        """A connection config for the plugin: over loopback TCP, as the admin."""
        config = {"host": self.host, "port": str(self.port), "username": self.admin_user, "password": self.admin_password}
        config["tls_ca" if self.tls else "tls_mode"] = self.ca_file if self.tls else "disable"
        config.update(more)
        return {name: value for name, value in config.items() if value is not None}

    # ---- clients ----

    def connect(self, user="root", password=None, database=None, **more):
        """An autocommit connection: root's over the socket, any other's over TCP. pymysql.err.OperationalError: refused."""
        arguments = {"user": user, "password": password, "database": database, "autocommit": True, "connect_timeout": 10,
                     "read_timeout": 30, "charset": "utf8mb4"}
        if user == "root" and password is None:
            arguments |= {"password": self.super_password, "unix_socket": self.socket_path}
        else:
            arguments |= {"host": self.host, "port": self.port}
            if self.tls:
                arguments["ssl"] = {"ca": self.ca_file}
        if user == self.admin_user and password is None:
            arguments["password"] = self.admin_password
        arguments.update(more)
        return pymysql.connect(**arguments)

    def sql(self, statement, *values, user="root", password=None, database=None):
        """Runs one statement on a connection of its own; the rows."""
        with contextlib.closing(self.connect(user, password, database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def quietly(self, *statements):
        """As root, without a trace in the log of statements: tests look for passwords there."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in ("SET SESSION sql_log_off = 1", *statements):
                cursor.execute(statement)

    def value(self, statement, *values):
        rows = self.sql(statement, *values)
        return rows[0][0] if rows else None

    def role_settings(self):
        """What makes a role of leased's give what the group role may."""
        return {"grant_roles": [self.group_role]}

    def sleep_statement(self, seconds):
        return f"DO SLEEP({seconds})"

    def at_work(self, text):
        """How many sessions of the admin are at a statement that has this text."""
        return self.value("SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE %s AND USER = %s", f"%{text}%",
                          self.admin_user)

    def role_names(self, prefix="l-"):
        """The accounts there are: what must equal the live leases."""
        return [row[0] for row in self.sql(self.names_sql, prefix)]

    def drop_accounts(self, prefix="l-"):
        for user, host in self.sql("SELECT User, Host FROM mysql.global_priv WHERE LOCATE(%s, User) = 1", prefix):
            self.sql(f"DROP USER {quote_name(user)}@{quote_name(host)}")

    def can_login(self, name, password, **more):
        try:
            self.connect(name, password, **more).close()
            return True
        except pymysql.err.OperationalError:
            return False

    def session_count(self, name):
        return self.value("SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = %s", name)

    @property
    def server_uid(self):
        return self.value("SELECT @@server_uid")


def is_cut(connection):
    """Has the server ended this session?"""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return False
    except (pymysql.err.Error, OSError):
        return True
