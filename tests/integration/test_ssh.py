"""SSH certificates on a real sshd: who gets in with one, and who does not any more when it was taken back."""

import concurrent.futures
import itertools
import subprocess
import time

import pytest

from daemon import Leased, poll
from sk_agent import PRESENT, VERIFIED, SecurityKeyAgent
from ssh_host import SshHost, keygen, make_key

CAS = {"ed25519": {"key_type": "ed25519"}, "p256": {"key_type": "ec", "key_bits": 256}, "p384": {"key_type": "ec", "key_bits": 384},
       "p521": {"key_type": "ec", "key_bits": 521}, "rsa": {"key_type": "rsa", "key_bits": 2048}}
KEYS = {"ed25519": [], "ecdsa-256": ["-b", 256], "ecdsa-384": ["-b", 384], "ecdsa-521": ["-b", 521], "rsa": ["-b", 2048]}
SECURITY_KEYS = {"sk-ed25519": "ed25519", "sk-ecdsa": "ecdsa"}


@pytest.fixture(scope="module")
def leased():
    with Leased() as daemon:
        for ca, body in CAS.items():
            mount(daemon, f"ssh-{ca}", body)
        yield daemon


def mount(leased, path, ca):
    assert leased.post(f"sys/mounts/{path}", {"type": "ssh"}).status == 204
    answer = leased.post(f"{path}/config/ca", ca)
    assert answer.status == 200, answer
    role(leased, path, "r", allowed_users="*", ttl=600)
    return answer.data["public_key"]


def role(leased, path, name, **body):
    answer = leased.post(f"{path}/roles/{name}", {"key_type": "ca", "allow_user_certificates": True, **body})
    assert answer.status == 204, answer


def lines(leased, *paths):
    return "".join(leased.request("GET", f"{path}/public_key", token="").body.decode() for path in paths)


@pytest.fixture(scope="module")
def host(leased):
    with SshHost(lines(leased, *(f"ssh-{ca}" for ca in CAS))) as sshd:
        yield sshd


@pytest.fixture(scope="module")
def agent():
    with SecurityKeyAgent() as tokens:
        yield tokens


@pytest.fixture(scope="module")
def keys(tmp_path_factory, agent):
    directory = tmp_path_factory.mktemp("keys")
    for name, kind in SECURITY_KEYS.items():
        agent.make(directory / name, kind)
    own = {name: make_key(directory / name, name.split("-")[0], *bits) for name, bits in KEYS.items()}
    return {**own, **{name: directory / name for name in SECURITY_KEYS}}


def sign(leased, path, key, name="r", **body):
    answer = leased.post(f"{path}/sign/{name}", {"public_key": key.with_suffix(".pub").read_text(), **body})
    assert answer.status == 200, answer
    certificate = key.parent / f"{key.name}-{path}-{answer.data['serial_number']}-cert.pub"
    certificate.write_text(answer.data["signed_key"])
    return answer.json["lease_id"], certificate


def gets_in(host, key, certificate, agent=None):
    more = {"env": agent.environment()} if agent else {}
    key = key if key.exists() else key.with_suffix(".pub")  # of a security key ssh has the public part, and the agent the rest
    done = host.login("-i", str(key), "-o", f"CertificateFile={certificate}", "-o", "IdentitiesOnly=yes", **more)
    return done.returncode == 0 and done.stdout == b"in\n"


def fetch(leased, host, path, etag=None, wait=None):
    """What a host does, with curl and no token: the list goes into place whole."""
    new = host.dir / "new.krl"
    arguments = ["curl", "-sf", "--unix-socket", leased.socket_path, "-o", new, "-D", host.dir / "head", f"http://localhost/v1/{path}/krl"]
    if etag:
        arguments += ["-H", f"If-None-Match: {etag}", "-H", f"Prefer: wait={wait}"]
    subprocess.run(arguments, check=True, timeout=40)
    head = (host.dir / "head").read_text()
    if " 200 " in head.splitlines()[0]:
        keygen("-Q", "-l", "-f", new)
        new.rename(host.krl)
    return next(line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("etag"))


def test_a_host_lets_in_by_every_kind_of_ca_and_of_key(leased, host, keys, agent):
    def refused(pair):
        _, certificate = sign(leased, f"ssh-{pair[0]}", keys[pair[1]], valid_principals=host.user)
        return not gets_in(host, keys[pair[1]], certificate, agent)

    pairs = list(itertools.product(CAS, keys))
    assert len(pairs) == 5 * 7
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert not list(itertools.compress(pairs, pool.map(refused, pairs))), (host.dir / "log").read_text()[-4000:]


@pytest.mark.parametrize("kind", SECURITY_KEYS.values())
def test_a_security_key_must_be_touched_and_where_the_role_says_so_know_its_user(leased, host, tmp_path, agent, kind):
    path = tmp_path / "token"
    token = agent.make(path, kind)

    def gets_in_by(name, flags):
        _, certificate = sign(leased, "ssh-ed25519", path, name, valid_principals=host.user)
        token.flags = flags
        return gets_in(host, path, certificate, agent)

    role(leased, "ssh-ed25519", "verified", allowed_users="*", verify_required=True)
    assert not gets_in_by("verified", PRESENT)
    assert gets_in_by("verified", PRESENT | VERIFIED)
    role(leased, "ssh-ed25519", "untouched", allowed_users="*", default_extensions={"no-touch-required": "", "permit-pty": ""})
    assert not gets_in_by("r", 0)
    assert gets_in_by("untouched", 0)


def test_a_key_that_sshd_would_not_ask_to_verify_its_user_is_not_certified_where_that_is_demanded(leased, keys):
    role(leased, "ssh-ed25519", "verified", allowed_users="*", verify_required=True)
    public = keys["ed25519"].with_suffix(".pub").read_text()
    answer = leased.post("ssh-ed25519/sign/verified", {"public_key": public, "valid_principals": "web"})
    assert answer.status == 400 and "only a security key can say" in answer.error, answer


def test_a_certificate_lets_nobody_in_as_somebody_else_or_from_elsewhere(leased, host, keys):
    key = keys["ed25519"]
    _, other = sign(leased, "ssh-ed25519", key, valid_principals="somebody-else")
    assert not gets_in(host, key, other)
    role(leased, "ssh-ed25519", "far", allowed_users="*", source_address=["192.0.2.0/24"])
    _, far = sign(leased, "ssh-ed25519", key, "far", valid_principals=host.user)
    assert not gets_in(host, key, far)
    role(leased, "ssh-ed25519", "near", allowed_users="*", source_address=["127.0.0.0/8"], force_command="echo forced")
    _, near = sign(leased, "ssh-ed25519", key, "near", valid_principals=host.user)
    done = host.login("-i", str(key), "-o", f"CertificateFile={near}", "-o", "IdentitiesOnly=yes")
    assert done.stdout == b"forced\n"


def test_a_key_that_is_issued_lets_in_as_it_was_answered(leased, host, tmp_path):
    for ca, body in zip(reversed(CAS), CAS.values()):
        answer = leased.post(f"ssh-{ca}/issue/r", {**body, "valid_principals": host.user})
        assert answer.status == 200, answer
        key = tmp_path / answer.data["serial_number"]
        key.touch(mode=0o600)
        key.write_text(answer.data["private_key"])
        certificate = key.with_name(f"{key.name}-cert.pub")
        certificate.write_text(answer.data["signed_key"])
        assert gets_in(host, key, certificate), body


def test_a_certificate_ends_with_its_time(leased, host, keys):
    key = keys["ed25519"]
    lease, certificate = sign(leased, "ssh-ed25519", key, valid_principals=host.user, ttl="3s")
    assert gets_in(host, key, certificate)
    time.sleep(3.2)
    assert not gets_in(host, key, certificate)
    poll(lambda: leased.post("sys/leases/lookup", {"lease_id": lease}).data.get("state") != "live", 10, what="an end of its lease")


def test_a_revoked_certificate_is_refused_within_two_seconds_and_others_are_not(leased, host, keys):
    key = keys["ed25519"]
    lease, certificate = sign(leased, "ssh-ed25519", key, valid_principals=host.user)
    _, other = sign(leased, "ssh-ed25519", key, valid_principals=host.user)
    etag = fetch(leased, host, "ssh-ed25519")
    assert gets_in(host, key, certificate)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waits = pool.submit(fetch, leased, host, "ssh-ed25519", etag, 30)
        time.sleep(0.3)
        assert not waits.done()
        begin = time.monotonic()
        assert leased.post("sys/leases/revoke", {"lease_id": lease}).status == 204
        assert waits.result(10) != etag
        assert time.monotonic() - begin < 2
    assert not gets_in(host, key, certificate)
    assert gets_in(host, key, other)
    assert b"revoked" in (host.dir / "log").read_bytes()


def test_a_banned_key_is_refused_whatever_was_signed_for_it(leased, host, tmp_path):
    key = make_key(tmp_path / "lost")
    _, certificate = sign(leased, "ssh-ed25519", key, valid_principals=host.user)
    public = key.with_suffix(".pub").read_text()
    assert leased.post("ssh-ed25519/bans/lost", {"public_key": public}).status == 204
    fetch(leased, host, "ssh-ed25519")
    assert not gets_in(host, key, certificate)
    assert leased.post("ssh-ed25519/sign/r", {"public_key": public, "valid_principals": host.user}).status == 403


def test_a_list_never_holds_the_key_of_its_own_ca(leased, tmp_path):
    own = mount(leased, "own", {"key_type": "ed25519"})
    answer = leased.post("own/bans/lost", {"public_key": own})
    assert answer.status == 400 and "lock everybody out" in answer.errors[0], answer
    key = make_key(tmp_path / "later", "ed25519")
    assert leased.post("own/bans/later", {"public_key": key.with_suffix(".pub").read_text()}).status == 204
    answer = leased.post("own/config/ca/rotate", {"private_key": key.read_text()})
    assert answer.status == 403 and "banned here (bans/later)" in answer.errors[0], answer


def test_both_keys_of_a_ca_that_is_rotated_let_in(leased, keys):
    mount(leased, "turning", {})
    key = keys["ed25519"]
    _, before = sign(leased, "turning", key, valid_principals="root")
    assert leased.post("turning/config/ca/rotate", {"activate": True}).status == 200
    with SshHost(lines(leased, "turning")) as host:
        _, old = sign(leased, "turning", key, valid_principals=host.user)
        assert gets_in(host, key, old)
        if host.user == "root":
            assert gets_in(host, key, before)


def test_what_hosts_read_needs_no_token_and_nothing_else_is_open(leased):
    for path in ("public_key", "krl", "krl.sig"):
        assert leased.request("GET", f"ssh-ed25519/{path}", token="hvs.none").status == 200
    for path in ("config/ca", "roles/r", "bans/lost", "verify/1"):
        assert leased.request("GET", f"ssh-ed25519/{path}", token="hvs.none").status == 403
    assert leased.request("POST", "ssh-ed25519/krl", {}, token="hvs.none").status in (403, 405)
