"""What the containers of docker-compose.yml run at their first start, against the servers themselves: setup, each server's own script, connect."""

import pathlib
import pwd
import subprocess
import tempfile

import pytest

from daemon import BUILD, REPO, Leased
from mariadb_server import MariaDB
from pg import Postgres, free_port
from privilege import as_root
from rabbitmq_server import RabbitMQ
from redis_server import Redis

PACKAGING = REPO / "packaging" / "docker"


def run(command, **env):
    """What it printed; as root, as setup is."""
    done = subprocess.run(as_root(["env", *(f"{name}={value}" for name, value in env.items()), *map(str, command)]), capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def secrets():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="leased-compose-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        assert "were made" in run([PACKAGING / "setup", directory])
        yield directory
    finally:
        run(["rm", "-rf", directory])


def given_to(directory, user):
    """The key of a server, whose user has another number here than in its image."""
    key = directory / "server.key"
    run(["chown", str(pwd.getpwnam(user).pw_uid), key])
    return str(directory / "server.crt"), str(key)


class ComposePostgres(Postgres):
    """As the official image leaves it before it reads its scripts."""

    def _make_roles(self):
        self.sql("CREATE DATABASE app")


@pytest.fixture(scope="module")
def postgresql(secrets):
    certificate, key = given_to(secrets / "postgresql", "postgres")
    with ComposePostgres(settings={"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key}) as server:
        run(["bash", PACKAGING / "postgresql.sh"], POSTGRES_USER="postgres", POSTGRES_DB="app", PGHOST="127.0.0.1", PGPORT=server.port,
            PGPASSWORD=server.super_password, SECRETS=secrets / "postgresql")
        yield server


@pytest.fixture(scope="module")
def mariadb(secrets):
    certificate, key = given_to(secrets / "mariadb", "mysql")
    with MariaDB(admin=False, settings={"ssl_cert": certificate, "ssl_key": key, "ssl_ca": secrets / "mariadb" / "ca.crt"}) as server:
        function = 'docker_process_sql() { mariadb --no-defaults --socket="$SOCKET" --user=root "$@"; }'
        run(["bash", "-ec", f"{function}; . {PACKAGING / 'mariadb.sh'}"], SOCKET=server.socket_path, MYSQL_PWD=server.super_password,
            SECRETS=secrets / "mariadb")
        yield server


class ComposeRedis(Redis):
    """By the very files of the volumes, with this machine's places in them."""

    ca_file = None

    def __init__(self, secrets):
        super().__init__(tls=True)
        self.secrets, self.ca_file = secrets, str(secrets / "trust" / "ca.crt")
        self.admin_password = run(["cat", secrets / "redis" / "leased-password"])

    def prepare(self):
        run(["chown", "-R", "nobody", self.secrets / "redis-data", self.secrets / "redis" / "server.key"])
        text = run(["cat", self.secrets / "redis" / "redis.conf"])
        for old, new in (("/secrets/", f"{self.secrets}/redis/"), ("/data", f"{self.secrets}/redis-data"), ("tls-port 6379", f"tls-port {self.port}")):
            assert old in text
            text = text.replace(old, new)
        (self.directory / "redis.conf").write_text(text + f"bind {self.host}\n")

    def answers(self):
        return self.call("PING") == "PONG"


@pytest.fixture(scope="module")
def redis(secrets):
    with ComposeRedis(secrets) as server:
        yield server


class ComposeRabbitMQ(RabbitMQ):
    ca_file = None

    def __init__(self, secrets):
        super().__init__()
        self.tls, self.secrets, self.ca_file = True, secrets, str(secrets / "trust" / "ca.crt")
        self.admin_password = run(["cat", secrets / "rabbitmq" / "leased-password"])

    def prepare(self):
        self.tls = False  # the certificates are there
        super().prepare()
        self.tls = True
        run(["chown", "rabbitmq", self.secrets / "rabbitmq" / "server.key"])
        text = run(["cat", self.secrets / "rabbitmq" / "rabbitmq.conf"])
        for old, new in (("/secrets/", f"{self.secrets}/rabbitmq/"), ("= 5671", f"= {free_port()}"), ("= 15671", f"= {self.api_port}")):
            assert old in text
            text = text.replace(old, new)
        (self.directory / "rabbitmq.conf").write_text(text + f"management.ssl.ip = {self.host}\nlog.file = log\n")


@pytest.fixture(scope="module")
def rabbitmq(secrets):
    with ComposeRabbitMQ(secrets) as server:
        yield server


def test_setup_gives_each_server_its_own_and_nobody_elses(secrets):
    seen = set()
    for name in ("postgresql", "mariadb", "redis", "rabbitmq", "leased"):
        at = secrets / name
        run(["openssl", "verify", "-CAfile", secrets / "trust" / "ca.crt", "-verify_hostname", name, at / "server.crt"])
        owner = 8200 if name == "leased" else 999
        status = (at / "server.key").stat()
        assert (status.st_uid, status.st_mode & 0o777) == (owner, 0o600)
        for word in () if name == "leased" else ("root", "leased"):
            path = at / f"{word}-password"
            status = path.stat()
            assert status.st_mode & 0o777 == 0o440 and status.st_gid == 999 and status.st_uid == (8200 if word == "leased" else 999)
            seen.add(run(["cat", path]))
    assert len(seen) == 8 and all(len(password) == 48 for password in seen)
    assert sorted(path.name for path in (secrets / "trust").iterdir()) == ["ca.crt", "ssh-ca.pub"]
    assert not {path.stat().st_uid for path in (secrets / "authority").iterdir()} - {0}
    run(["test", "-e", secrets / "redis-data" / "users.acl"])


def test_a_second_setup_changes_nothing(secrets):
    def all_of_it():
        return run(["sh", "-c", f"find {secrets} -type f ! -name server.key -exec md5sum {{}} + | sort; find {secrets} -printf '%p %m %U %G\n' | sort"])

    before = all_of_it()
    assert run([PACKAGING / "setup", secrets]) == "setup: everything is there\n"
    assert all_of_it() == before


def test_connect_leads_to_a_user_on_every_server_and_leaves_what_is_there(secrets, postgresql, mariadb, redis, rabbitmq):
    with Leased() as leased:
        env = {"PATH": f"{BUILD / 'bin'}:/usr/bin:/bin", "LEASE_ADDR": f"unix://{leased.socket_path}", "LEASE_TOKEN": leased.root_token,
               "CA": secrets / "trust" / "ca.crt"}
        for name, server in (("postgresql", postgresql), ("mariadb", mariadb), ("redis", redis), ("rabbitmq", rabbitmq)):
            env |= {f"host_{name}": "localhost", f"port_{name}": getattr(server, "api_port", server.port)}
        said = run([PACKAGING / "connect", secrets], **env)
        assert "all is configured" in said and "connect: database/roles/app" in said, said
        credential = leased.get("database/creds/app").data
        with postgresql.connect(credential["username"], credential["password"], "app", sslmode="require") as connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM orders")
                assert cursor.fetchone() == (2,)
        connection.close()
        credential = leased.get("database/creds/shop").data
        rows = mariadb.sql("SELECT count(*) FROM orders", user=credential["username"], password=credential["password"], database="app")
        assert rows == [(2,)] or rows == [[2]], rows
        credential = leased.get("database/creds/cache").data
        assert redis.call("SET", "app:x", "1", user=credential["username"], password=credential["password"]) == "OK"
        assert leased.get("database/creds/queue").data["username"] in rabbitmq.role_names()
        assert leased.post("database/rotate-root/postgresql").status in (200, 204)
        assert run([PACKAGING / "connect", secrets], **env).startswith("connect: all is configured"), "the rotated password stays"
        assert leased.get("database/creds/app").status == 200
        for role in ("app", "shop", "cache", "queue"):
            assert leased.put(f"sys/leases/revoke-prefix/database/creds/{role}").status == 204
        assert postgresql.role_names("l-") == [] and mariadb.role_names("l-") == [] and rabbitmq.role_names() == []
        assert not redis.can_login(credential["username"], credential["password"])
