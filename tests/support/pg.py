"""A throw-away PostgreSQL server for tests: own directory, own port, loopback and a Unix socket, ended by its pid.

    with Postgres() as server:
        server.sql("SELECT 1")                      # as the superuser
        server.config()                             # a connection config for the plugin, as the admin role `leased`

The admin role is what the documentation tells people to make: CREATEROLE, no superuser, a member of pg_signal_backend,
and with ADMIN OPTION on the group role `app` that owns the rights which accounts get.
"""

import datetime
import contextlib
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2
import psycopg2.extensions

BIN = pathlib.Path(os.environ.get("LEASED_TEST_PG_BIN", "/usr/lib/postgresql/15/bin"))
START_TIMEOUT_S = 60


def free_port():
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def quote_ident(name):
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text):
    assert "\\" not in text
    return "'" + text.replace("'", "''") + "'"


class Postgres:
    """One server. start() runs initdb the first time; stop(), kill(), pause() and resume() may follow in any order."""

    # What tests of every database ask for (mariadb_server.py has the same names).
    plugin_name = "postgresql-database-plugin"
    errors = (psycopg2.OperationalError, psycopg2.InterfaceError)  # of a connection
    create_statement = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
    create_word = b"CREATE ROLE"  # what a mint sends
    failing_statement = "SELECT 1 / 0"
    names_sql = "SELECT rolname FROM pg_catalog.pg_roles WHERE starts_with(rolname, %s) ORDER BY 1"
    # The runs of a daemon that have sessions here, by its mark; the latest is the last.
    runs_sql = ("SELECT DISTINCT split_part(application_name, ' ', 3), min(backend_start) FROM pg_catalog.pg_stat_activity "
                "WHERE application_name LIKE %s GROUP BY 1 ORDER BY 2")

    def __init__(self, settings=None, tls=False, fsync=False, group_role="app", admin_password=None):
        self.port = free_port()
        self.host = "127.0.0.1"
        self.settings = dict(settings or {})
        self.tls = tls
        self.fsync = fsync
        self.group_role = group_role
        self.admin_role = "leased"
        self.admin_password = admin_password or secrets.token_urlsafe(18)
        self.super_password = secrets.token_urlsafe(18)
        self.process = None
        self.directory = None

    # ---- life ----

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.destroy()
            raise

    def __exit__(self, *_):
        self.destroy()

    @property
    def data(self):
        return self.directory / "data"

    @property
    def socket_dir(self):
        return str(self.directory / "socket")

    @property
    def log_path(self):
        return self.directory / "log"

    def log(self):
        return self.log_path.read_text(errors="replace")

    def start(self):
        first = self.directory is None
        if first:
            self._make_directory()
            self._initdb()
        self._launch()
        if first:
            self._make_roles()
        return self

    @staticmethod
    def _as_postgres():
        """PostgreSQL refuses root: run as the user that Debian's package made for it. Arguments for subprocess."""
        if os.getuid() != 0:
            return {}
        user = pwd.getpwnam("postgres")
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": os.getgrouplist("postgres", user.pw_gid)}

    def _own(self, *paths):
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in paths:
                os.chown(path, user.pw_uid, user.pw_gid)

    def _make_directory(self):
        # A socket's path has 107 bytes: stay near the root, whatever TMPDIR says.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="leased-pg-", dir="/tmp"))
        (self.directory / "socket").mkdir(mode=0o755)
        self.log_path.touch()
        self.directory.chmod(0o755)
        self._own(self.directory, self.directory / "socket", self.log_path)

    def _initdb(self):
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.super_password + "\n")
        self._own(password_file)
        command = [BIN / "initdb", "-D", self.data, "-U", "postgres", "--auth=scram-sha-256",
                   f"--pwfile={password_file}", "--locale=C.UTF-8", "--encoding=UTF8", "--no-sync",
                   "--no-instructions"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as_postgres())
        password_file.unlink()
        if self.tls:
            self._make_certificates()
        self._write_settings()

    def _write_settings(self):
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.socket_dir,
            "fsync": "on" if self.fsync else "off", "max_connections": 60, "shared_buffers": "32MB",
            "log_statement": "all", "log_connections": "on", "log_line_prefix": "%m [%p] %u@%d %a ",
            "password_encryption": "scram-sha-256",
        }
        if self.tls:
            settings |= {"ssl": "on", "ssl_cert_file": self.data / "server.crt",
                         "ssl_key_file": self.data / "server.key"}
        settings |= self.settings
        lines = [f"{name} = {quote_literal(str(value))}\n" for name, value in settings.items()]
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.writelines(["\n"] + lines)
        kind = "hostssl" if self.tls else "host"
        (self.data / "pg_hba.conf").write_text(
            "local all all scram-sha-256\n" f"{kind} all all 127.0.0.1/32 scram-sha-256\n")

    def _launch(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([BIN / "postgres", "-D", self.data], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd="/", start_new_session=True,
                                            **self._as_postgres())
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.connect().close()
                return
            except psycopg2.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{self.log()[-4000:]}") from None
                time.sleep(0.05)

    @property
    def pid(self):
        """The postmaster."""
        return self.process.pid

    def stop(self, how=signal.SIGINT):
        """SIGINT: a fast shutdown. SIGQUIT: an immediate one, as after a crash."""
        if self.process is None or self.process.poll() is not None:
            return
        os.kill(self.pid, how)
        self.process.wait(START_TIMEOUT_S)

    def kill(self):
        """kill -9 of the whole server, as a power cut would have it."""
        if self.process is None or self.process.poll() is not None:
            return
        pids = [self.pid] + self._children()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(START_TIMEOUT_S)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _children(self):
        path = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(word) for word in path.read_text().split()]

    def pause(self):
        """SIGSTOP for everybody: the server takes connections (the kernel does) and answers nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self):
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number):
        os.kill(self.pid, number)
        for pid in self._children():
            with contextlib.suppress(ProcessLookupError):  # a session ends when it likes
                os.kill(pid, number)

    def restart(self):
        self.stop()
        return self.start()

    def destroy(self):
        if self.process is not None and self.process.poll() is None:
            try:
                self.resume()
                self.stop(signal.SIGQUIT)
            except (OSError, subprocess.TimeoutExpired):
                self.kill()
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    # ---- TLS ----

    def _openssl(self, *words):
        subprocess.run(["openssl", *[str(word) for word in words]], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def _make_certificates(self):
        """A throw-away CA (directory/ca.crt) and a server certificate for localhost and 127.0.0.1."""
        ca, ca_key = self.directory / "ca.crt", self.directory / "ca.key"
        key, request, cert = self.data / "server.key", self.directory / "server.csr", self.data / "server.crt"
        extensions = self.directory / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self._openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", 2, "-subj", "/CN=test CA")
        self._openssl("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
        self._openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", 2,
                      "-extfile", extensions, "-out", cert)
        ca.chmod(0o644)
        key.chmod(0o600)
        self._own(key, cert)

    @property
    def ca_file(self):
        return str(self.directory / "ca.crt")

    # ---- the administrator ----

    def _make_roles(self):
        admin, group = quote_ident(self.admin_role), quote_ident(self.group_role)
        self.sql(f"CREATE ROLE {group} NOLOGIN")
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET log_statement = none")  # tests look for passwords in the log
            cursor.execute(f"CREATE ROLE {admin} LOGIN CREATEROLE NOSUPERUSER "
                           f"PASSWORD {quote_literal(self.admin_password)}")
        connection.close()
        self.sql(f"GRANT pg_signal_backend TO {admin}")
        self.sql(f"GRANT {group} TO {admin} WITH ADMIN OPTION")
        self.sql(f"CREATE TABLE public.items (id int); GRANT SELECT ON public.items TO {group}; "
                 "INSERT INTO public.items VALUES (1), (2)")

    def config(self, **more):
        """A connection config for the plugin: over loopback TCP, as the admin role."""
        config = {"host": self.host, "port": str(self.port), "dbname": "postgres", "username": self.admin_role,
                  "password": self.admin_password}
        config.update(more)
        return {name: value for name, value in config.items() if value is not None}

    def connection_url(self):
        """The same, as people who come from Vault write it."""
        return f"postgresql://{{{{username}}}}:{{{{password}}}}@{self.host}:{self.port}/postgres?sslmode=disable"

    # ---- clients ----

    def connect(self, user="postgres", password=None, dbname="postgres", **more):
        """An autocommit connection, as the superuser unless told otherwise. psycopg2.OperationalError: refused."""
        if user == "postgres" and password is None:
            password = self.super_password
        elif user == self.admin_role and password is None:
            password = self.admin_password
        arguments = {"host": self.host, "port": self.port, "user": user, "password": password, "dbname": dbname,
                     "connect_timeout": 10}
        arguments.update(more)
        connection = psycopg2.connect(**arguments)
        connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
        return connection

    def sql(self, statement, *values, dbname="postgres", user="postgres", password=None):
        """Runs one statement (or several) on a connection of its own; the rows, or None where there are none."""
        connection = self.connect(user, password, dbname)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def value(self, statement, *values, dbname="postgres"):
        rows = self.sql(statement, *values, dbname=dbname)
        return rows[0][0] if rows else None

    def role_settings(self):
        """What makes a role of leased's give what the group role may."""
        return {"grant_roles": [self.group_role]}

    def sleep_statement(self, seconds):
        return f"SELECT pg_sleep({seconds})"

    def at_work(self, text):
        """How many sessions of the admin are at a statement that has this text."""
        return self.value("SELECT count(*) FROM pg_stat_activity WHERE query ILIKE %s AND usename = %s", f"%{text}%", self.admin_role)

    def role_names(self, prefix="l-"):
        """The accounts there are: what must equal the live leases."""
        return [row[0] for row in self.sql(self.names_sql, prefix)]

    def drop_accounts(self, prefix="l-"):
        for name in self.role_names(prefix):
            self.sql(f"DROP OWNED BY {quote_ident(name)}; DROP ROLE {quote_ident(name)}")

    def can_login(self, name, password, **more):
        try:
            self.connect(name, password, **more).close()
            return True
        except psycopg2.OperationalError:
            return False

    def session_count(self, name):
        return self.value("SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = %s", name)

    @property
    def system_identifier(self):
        return str(self.value("SELECT system_identifier FROM pg_catalog.pg_control_system()"))


def in_seconds(seconds):
    """A time from now, as the plugin protocol has it."""
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def wait_until(condition, timeout_s=10, what="the condition"):
    """Polls; the one way that tests wait."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(0.02)
