"""A leased that a test writes, with a mount of type ssh whose certificates, lists and signatures ssh-keygen makes."""

import base64
import pathlib
import re
import subprocess
import tempfile

from fake_leased import FakeLeased, envelope
from ssh_host import keygen, make_key


class FakeSshCa(FakeLeased):
    """principals, valid: of the certificates it makes. revoke(): the next list has that serial."""

    def __init__(self, principals="alice", valid="-30s:+1h"):
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory(prefix="fake-ssh-ca-")
        self.dir = pathlib.Path(self.scratch.name)
        self.ca = make_key(self.dir / "ca")
        self.principals, self.valid, self.serial, self.version, self.serials, self.known = principals, valid, 0, 100, [], {}
        self.signer = self.ca
        self.listing()
        self.answers["POST /v1/ssh/sign/prod"] = self.sign
        self.answers["POST /v1/ssh/sign/hosts"] = self.sign
        self.answers["GET /v1/ssh/public_key"] = lambda asked: (200, (self.dir / "ca.pub").read_bytes())
        self.answers["PUT /v1/sys/leases/lookup"] = lambda asked: (200, envelope({"state": self.known.get(asked.json["lease_id"], "gone")}))
        self.answers["PUT /v1/sys/leases/revoke"] = self.end

    def __exit__(self, *more):
        super().__exit__(*more)
        self.scratch.cleanup()

    def line(self):
        return (self.dir / "ca.pub").read_text()

    def sign(self, asked):
        self.serial += 1
        lease_id = f"ssh/sign/prod/{self.serial:07d}"
        key = self.dir / f"key{self.serial}.pub"
        key.write_text(asked.json["public_key"] + "\n")
        host = ["-h"] if asked.json["cert_type"] == "host" else []
        keygen("-q", "-s", self.ca, "-I", lease_id, "-n", asked.json.get("valid_principals", self.principals), "-V", self.valid, "-z", self.serial,
               *host, key)
        line = (self.dir / f"key{self.serial}-cert.pub").read_text()
        self.known[lease_id] = "live"
        return 200, envelope({"serial_number": f"{self.serial:x}", "signed_key": line}, lease_id=lease_id, lease_duration=3600)

    def end(self, asked):
        self.known[asked.json["lease_id"]] = "gone"
        return 204, None

    # ---- the list ----

    def revoke(self, serial):
        self.serials.append(serial)
        self.version += 1
        self.listing()

    def listing(self):
        spec, path = self.dir / "spec", self.dir / "krl"
        spec.write_text("".join(f"serial: {serial}\n" for serial in self.serials))
        path.unlink(missing_ok=True)
        keygen("-k", "-f", path, "-s", self.dir / "ca.pub", "-z", self.version, spec)
        self.offer(path.read_bytes())

    def offer(self, krl, signature=None):
        """What is served from now on, signed anew unless the test says how."""
        if signature is None:
            signature = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(self.signer), "-n", "leased-krl"], input=krl, check=True,
                                       capture_output=True, timeout=30).stdout
        version = int.from_bytes(krl[12:20], "big")

        def list_of(asked):
            return (304, None) if asked.headers.get("if-none-match") == f'"{version}"' else (200, krl)

        def signature_of(asked):
            wanted = re.search(r"version=(\d+)", asked.path)
            return (412, {"errors": ["another version"]}) if wanted and int(wanted[1]) != version else (200, signature)

        for path in ("krl", "krl?wait=30"):
            self.answers[f"GET /v1/ssh/{path}"] = list_of
        for number in {version, self.version, 0}:
            self.answers[f"GET /v1/ssh/krl.sig?version={number}"] = signature_of
        return base64.b64encode(krl)
