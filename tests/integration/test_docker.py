"""Dockerfile and docker-compose.yml where no Docker runs: their steps are those of CI, and what they install works in the layout of the image,
as the first process, by the image's own user, with the image's own health check."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
import yaml

from daemon import REPO, poll
from job import Job
from privilege import as_root

DOCKERFILE = (REPO / "Dockerfile").read_text().replace("\\\n", " ")
PACKAGING = REPO / "packaging" / "docker"
OWNER = "8200"


def instructions(stage):
    """(word, rest) of one stage of the Dockerfile."""
    found, inside = [], False
    for line in DOCKERFILE.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            inside = rest.endswith(f" AS {stage}")
        elif inside and word and not word.startswith("#"):
            found.append((word, rest))
    return found


def steps(stage):
    return [rest for word, rest in instructions(stage) if word == "RUN"]


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPO, timeout=600, **more)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


# ---- the files ----


@pytest.fixture(scope="module")
def compose():
    run(["docker-compose", "config", "-q"])
    return yaml.safe_load(run(["docker-compose", "config"]))


def test_the_steps_of_the_image_are_those_of_ci():
    install, configure, build, last = steps("build")
    assert install == "scripts/packages --install build"
    ci = (REPO / "scripts" / "quickstart").read_text()
    assert "scripts/packages --install build server" in ci and f"{configure} && nice {build} -j" in ci
    assert last == "DESTDIR=/image cmake --install build/release --prefix /usr"
    assert steps("leased")[0].startswith("/src/scripts/packages --install run && /src/scripts/layout")
    assert ("USER", "leased") in instructions("leased")
    assert not re.search(r"https?://|\bcurl\b|\bwget\b|\bADD\b", DOCKERFILE), "nothing comes from elsewhere than Debian"


def test_images_have_a_tag_and_come_from_nowhere_in_particular(compose):
    assert set(compose["services"]) == {"setup", "leased", "connect", "postgresql", "mariadb", "redis", "rabbitmq", "sshd"}
    images = [service["image"] for service in compose["services"].values() if "image" in service]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    for image in set(images) - {"leased"}:
        assert re.fullmatch(r"[a-z]+:[a-z0-9.-]+", image) and not image.endswith(":latest"), image


def test_no_secret_stands_in_the_files_and_no_port_is_open_to_others(compose):
    for name, service in compose["services"].items():
        for key, value in (service.get("environment") or {}).items():
            assert "PASS" not in key or key.endswith("_FILE"), (name, key)
            assert "PASS" not in key or str(value).startswith("/secrets/")
        for port in service.get("ports", []):
            assert str(port).startswith("127.0.0.1:"), (name, port)


def test_leased_is_kept_as_close_as_by_its_unit(compose):
    service = compose["services"]["leased"]
    unit = dict(re.findall(r"^(\w+)=(.*)$", (REPO / "packaging/systemd/leased.service").read_text(), re.M))
    assert service["cap_drop"] == ["ALL"] and service["read_only"] is True and "no-new-privileges:true" in service["security_opt"]
    assert service["ulimits"]["memlock"] == int(unit["LimitMEMLOCK"].removesuffix("M")) << 20
    assert service["ulimits"]["core"] == int(unit["LimitCORE"]) and service["ulimits"]["nofile"] == int(unit["LimitNOFILE"])
    assert service["stop_grace_period"] == unit["TimeoutStopSec"] + "s" and service["restart"] == "unless-stopped"
    volumes = " ".join(map(str, service["volumes"]))
    assert all(place in volumes for place in ("/var/lib/leased", "/var/log/leased", "/etc/leased/key"))


def test_every_script_of_a_container_parses_and_every_file_that_is_mounted_is_there(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = str(volume).split(":")[0] if isinstance(volume, str) else volume["source"]
            assert not source.startswith("/") or pathlib.Path(source).exists(), source
    for script in ("setup", "connect", "layout"):
        run(["sh", "-n", str(PACKAGING / script)])


# ---- what is installed ----


@pytest.fixture(scope="module")
def installed():
    """The root of an image: the last stage's steps with another root, and of the machine what a Debian has."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="leased-image-", dir="/tmp"))
    root.chmod(0o755)
    try:
        _, configure, build, last = steps("build")
        run(["nice", *shlex.split(configure)])
        run(["nice", *shlex.split(build), "-j", str(os.cpu_count())])
        run(["sh", "-c", last.replace("DESTDIR=/image", f"DESTDIR={root}")])
        run(as_root([str(PACKAGING / "layout"), str(root)]))
        for word, rest in instructions("leased"):
            if word == "COPY" and rest.startswith("packaging/docker/leased.hcl "):
                run(as_root(["cp", *shlex.split(rest.replace(" /", f" {root}/"))]))
        yield root
    finally:
        subprocess.run(as_root(["rm", "-rf", str(root)]), check=False)


def programs(root):
    return [*(root / "usr/bin").iterdir(), *(root / "usr/libexec/leased/plugins").iterdir()]


def test_a_release_is_whole_and_without_what_is_for_tests(installed):
    assert {path.name for path in (installed / "usr/bin").iterdir()} == {"lease", "leased"}
    plugins = {path.name for path in (installed / "usr/libexec/leased/plugins").iterdir()}
    expected = {path.parent.name for path in REPO.glob("plugins/*/CMakeLists.txt")} - {"sdk", "example"}
    assert plugins == expected and "postgresql" in plugins
    for path in ("lib/systemd/system/leased.service", "lib/sysusers.d/leased.conf", "include/leased/PROTOCOL.md",
                 "share/doc/leased/docs/how-to/docker.md", "share/doc/leased/examples/mosquitto/mosquitto"):
        assert (installed / "usr" / path).is_file(), path
    assert (installed / "usr/share/doc/leased/examples/mosquitto/mosquitto").stat().st_mode & 0o111


def test_the_image_has_every_library_that_a_program_needs(installed):
    listed = set(run(["scripts/packages", "run"]).split())
    for program in programs(installed):
        found = dict(re.findall(r"^\s*(\S+) => (/\S+)", run(["ldd", str(program)]), re.M))
        for library in re.findall(r"\(NEEDED\).*\[(.*)\]", run(["readelf", "-d", str(program)])):
            path = found.get(library)
            if path is None:
                continue  # the loader itself
            owner = run(["dpkg", "-S", "*" + os.path.realpath(path).removeprefix("/usr")]).split(":")[0]
            owner = owner.split("\n")[0]
            assert owner in listed | {"libc6"}, f"{program.name} needs {library} of {owner}: add it to run= in scripts/packages"


class Container:
    """leased as the first process of namespaces of its own, in a root that has what the image has."""

    def __init__(self, root):
        self.root = root
        (root / "proc").mkdir(exist_ok=True)
        (root / "dev").mkdir(exist_ok=True)
        (root / "tmp").mkdir(exist_ok=True)
        for name in ("lib", "lib64", "bin"):
            if not (root / name).is_symlink():
                (root / name).symlink_to(f"usr/{name}")
        for name in ("lib", "lib64"):
            (root / "usr" / name).mkdir(exist_ok=True)
        (root / "hosts-etc").mkdir(exist_ok=True)
        for name in ("dash", "sleep"):
            shutil.copy(f"/usr/bin/{name}", root / "hosts-etc" / name)
        script = "\n".join([
            "set -e", "mount --make-rprivate /",
            *(f"mount --rbind /{path} {root}/{path}" for path in ("usr/lib", "usr/lib64", "dev")),
            f"mount -t proc proc {root}/proc",
            f"exec chroot --userspec={OWNER}:{OWNER} {root} /usr/bin/leased -config /etc/leased/leased.hcl"])
        self.log = open(root / "hosts-etc" / "log", "ab")
        self.unshare = subprocess.Popen(as_root(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]),
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pid = poll(lambda: self._find(), 20, what="the first process")

    def output(self):
        return (self.root / "hosts-etc" / "log").read_text()

    def _find(self):
        """leased, by what the kernel says of the processes below unshare."""
        assert self.unshare.poll() is None, self.output()
        waiting = [self.unshare.pid]
        while waiting:
            pid = waiting.pop()
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for child in map(int, children):
                if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "leased":
                    return child
                waiting.append(child)
        return None

    def enter(self, script):
        """As `docker exec` does: the exit status and what it printed."""
        command = ["nsenter", "-t", str(self.pid), "-m", "-p", "-r", "-S", OWNER, "-G", OWNER, "/hosts-etc/dash", "-c", script]
        return subprocess.run(as_root(command), capture_output=True, text=True, timeout=30, env={"PATH": "/usr/bin:/usr/sbin:/sbin:/hosts-etc"})

    def wait_healthy(self, command):
        end = time.monotonic() + 10
        while (done := self.enter(command)).returncode != 0:
            assert time.monotonic() < end and self.unshare.poll() is None, f"{done.stdout} {done.stderr} {self.output()[-500:]}"
            time.sleep(0.05)

    def signal(self, number):
        run(as_root(["kill", f"-{number}", str(self.pid)]))

    def children(self):
        """(pid, state) of its own."""
        pids = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return {int(pid): pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids}

    def stop(self):
        self.signal("TERM")
        return self.unshare.wait(30)

    def close(self):
        if self.unshare.poll() is None:
            subprocess.run(as_root(["kill", "-KILL", str(self.pid)]), check=False)
            self.unshare.wait(30)
        self.log.close()


def healthcheck():
    options, _, command = dict(instructions("leased"))["HEALTHCHECK"].partition(" CMD ")
    return command, int(re.search(r"--timeout=(\d+)s", options)[1])


@pytest.fixture
def container(installed):
    one = Container(installed)
    yield one
    one.close()


def test_the_image_serves_as_its_own_user_and_its_health_check_tells_life_from_death(container, installed):
    command, limit_s = healthcheck()
    assert container.enter("echo $$").returncode == 0
    container.wait_healthy(command)
    status = pathlib.Path(f"/proc/{container.pid}/status").read_text()
    assert re.search(rf"^Uid:\t{OWNER}\t{OWNER}\t{OWNER}", status, re.M) and re.search(r"^NSpid:\t\d+\t1$", status, re.M), status
    assert re.search(r"^CapEff:\t0+$", status, re.M), status
    assert container.enter("lease whoami -f policies").stdout == "admin,default"
    token = container.enter("lease write -f client_token auth/token/create policies=admin ttl=1h").stdout
    assert container.enter(f"LEASE_TOKEN={token} lease whoami -f policies").stdout == "admin,default"
    assert (installed / "etc/leased/key/root.key").stat().st_mode & 0o777 == 0o600
    container.signal("STOP")
    begun = time.monotonic()
    assert container.enter(command).returncode == 1, "Docker knows 0 and 1"
    assert time.monotonic() - begun < limit_s
    container.signal("CONT")
    assert container.enter(command).returncode == 0
    assert container.stop() == 0
    again = Container(installed)
    try:
        again.wait_healthy(command)  # with the same volumes
    finally:
        again.close()


def test_as_the_first_process_it_reaps_what_others_leave_behind(container):
    command, _ = healthcheck()
    container.wait_healthy(command)
    before = set(container.children())
    for _ in range(5):
        assert container.enter("sleep 0.3 >/dev/null 2>&1 & exit 0").returncode == 0
    assert len(set(container.children()) - before) > 0, "the orphans are its own now"
    time.sleep(0.6)
    poll(lambda: set(container.children()) <= before, 5, what="the end of all orphans")
    assert "Z" not in container.children().values()
    assert container.enter(command).returncode == 0


# ---- what a container refuses ----

# What Docker's page on seccomp names as refused by default, by the numbers of x86_64; and what Docker before 23 did not know.
REFUSED = {"acct": 163, "add_key": 248, "bpf": 321, "clock_adjtime": 305, "clock_settime": 227, "delete_module": 176, "finit_module": 313,
           "get_mempolicy": 239, "init_module": 175, "ioperm": 173, "iopl": 172, "kcmp": 312, "kexec_load": 246, "keyctl": 250,
           "lookup_dcookie": 212, "mbind": 237, "mount": 165, "move_pages": 279, "name_to_handle_at": 303, "open_by_handle_at": 304,
           "perf_event_open": 298, "pivot_root": 155, "process_vm_readv": 310, "process_vm_writev": 311, "ptrace": 101, "quotactl": 179,
           "reboot": 169, "request_key": 249, "set_mempolicy": 238, "setns": 308, "settimeofday": 164, "swapon": 167, "swapoff": 168,
           "umount2": 166, "unshare": 272, "userfaultfd": 323, "ustat": 136}
LANDLOCK = {"create": 444, "add": 445, "restrict": 446}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")
@pytest.mark.parametrize("old", [False, True], ids=["docker", "docker-before-23"])
def test_under_a_containers_filter_it_mints_and_says_what_it_lacks(server, old):
    numbers = ",".join(map(str, [*REFUSED.values(), *(LANDLOCK.values() if old else ())]))
    wrapper = [sys.executable, str(REPO / "tests/support/refused.py"), numbers]
    with Job(server, wrapper=wrapper) as job:
        job.set_up()
        credential = job.mint()
        assert server.can_login(credential.user, credential.password)
        assert job.revoke(credential).status == 204
        assert ("or the container keeps it away" in job.leased.output()) == old
        assert job.leased.stop() == 0


def test_a_service_that_cannot_be_disabled_is_named():
    """What scripts/packages installs must not run from the next boot on, unseen."""
    text = (REPO / "scripts" / "packages").read_text()
    release = text[text.index("release_services() {"):text.index("install_missing() {")]
    said = subprocess.run(["bash", "-c", """set -euo pipefail
as_root() { "$@"; }; restore_policy() { :; }; there() { [[ $1 == /lib/* ]]; }
systemctl() { [ "${!#}" = good.service ] || { echo "no bus" >&2; return 1; }; }
log=$(mktemp); new_units=" bad.service good.service"
""" + release + "release_services; rm -f \"$log\""], capture_output=True, text=True, timeout=20)
    assert said.returncode == 0 and "bad.service could not be disabled" in said.stderr and "no bus" in said.stderr, said
    assert "good.service" not in said.stderr, said
