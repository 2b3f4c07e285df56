"""A certificate authority of a test's own, and what it signs: good certificates, ended ones, and for other names."""

import pathlib
import subprocess


class Authority:
    """Its files lie in directory; ca_file vouches for all that it signs."""

    def __init__(self, directory, name="ca"):
        self.dir = pathlib.Path(directory)
        self.name = name
        self.ca_file = self.dir / f"{name}.crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                      "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")

    def _openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.dir, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def issue(self, name, names="IP:127.0.0.1,DNS:localhost", days=1):
        """The paths of a certificate and its key. days below 0: it has ended."""
        request, extensions = self.dir / f"{name}.csr", self.dir / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                      f"/CN={name}", "-keyout", f"{name}.key", "-out", request.name)
        self._openssl("x509", "-req", "-in", request.name, "-CA", f"{self.name}.crt", "-CAkey", f"{self.name}.key",
                      "-days", str(days), "-set_serial", str(abs(hash(name)) % 2**60 + 1), "-extfile", extensions.name,
                      "-out", f"{name}.crt")
        (self.dir / f"{name}.key").chmod(0o600)
        return self.dir / f"{name}.crt", self.dir / f"{name}.key"
