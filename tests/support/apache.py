"""A throw-away Apache whose mod_auth_openidc lets tokens in that an introspection endpoint calls good (oauth20).

    with Apache(endpoint, ca_file, "apache", token, {"/read": 'claim "scope~(^| )read( |$)"'}) as apache:
        apache.get("/read/", token=..)   # (status, body)
"""

import http.client

from pg import free_port
from server_process import ServerProcess

MODULES = ("mpm_event", "authn_core", "authz_core", "authz_user", "headers", "auth_openidc")


class Apache(ServerProcess):
    label = "apache"
    log_names = ("log", "error.log")
    user_names = ("www-data", "nobody")

    def __init__(self, endpoint, ca_file, client, secret, places, auth="client_secret_basic"):
        super().__init__()
        self.endpoint, self.trusted, self.client, self.secret, self.places = endpoint, ca_file, client, secret, places
        self.auth = auth
        self.port = free_port()

    def prepare(self):
        pages = self.directory / "pages"
        lines = [f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in MODULES]
        lines += [f"ServerRoot {self.directory}", f"PidFile {self.directory}/pid", f"Listen {self.host}:{self.port}",
                  "ServerName localhost", f"ErrorLog {self.directory}/error.log", "LogLevel warn auth_openidc:info",
                  f"DocumentRoot {pages}", f"Mutex file:{self.directory} default", "StartServers 1",
                  f"OIDCOAuthIntrospectionEndpoint {self.endpoint}",
                  f"OIDCOAuthIntrospectionEndpointAuth {self.auth}",
                  f"OIDCOAuthClientID {self.client}", f'OIDCOAuthClientSecret "{self.secret}"',
                  # Ask each time: what the module remembers (0: as long as the token lives) would outlive a revocation.
                  "OIDCOAuthTokenIntrospectionInterval -1", "OIDCOAuthRemoteUserClaim sub",
                  f"OIDCCABundlePath {self.directory}/ca.crt"]
        (self.directory / "ca.crt").write_bytes(self.trusted.read_bytes())
        for path, required in self.places.items():
            (pages / path.strip("/")).mkdir(parents=True)
            (pages / path.strip("/") / "page").write_text(f"the page of {path}\n")
            lines += [f"<Location {path}>", "AuthType oauth20", f"Require {required}", "</Location>"]
        (self.directory / "apache.conf").write_text("\n".join(lines) + "\n")

    def command(self):
        return ["/usr/sbin/apache2", "-f", self.directory / "apache.conf", "-D", "FOREGROUND"]

    def answers(self):
        return self.get("/nothing")[0] == 404

    not_yet = (OSError, http.client.HTTPException)

    def get(self, path, token=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()
