"""A throw-away InfluxDB 1.x with authentication.

    with InfluxDB() as server:
        server.query("SHOW DATABASES")                        # the results, as the admin; InfluxError: the server said no
        server.query("SELECT * FROM items", user="l-..", password="..", database="app")
"""

import base64
import http.client
import json
import secrets
import ssl
import urllib.parse

from pg import free_port
from server_process import ServerProcess


class InfluxError(Exception):
    """An answer other than 200, or an error in its results."""

    def __init__(self, status, text):
        self.status = status
        super().__init__(f"{status}: {text}")


class InfluxDB(ServerProcess):
    """The database `app` has one point of `items`."""

    label = "influxdb"
    user_names = ("influxdb", "nobody")
    not_yet = (OSError, http.client.HTTPException, ValueError, InfluxError)

    def __init__(self, tls=False):
        super().__init__()
        self.tls = tls
        self.port, self.backup_port = free_port(), free_port()
        self.admin_user, self.admin_password = "leased", secrets.token_urlsafe(18)
        self.database = "app"
        self.server_pair = None

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def prepare(self):
        tls = ""
        if self.tls:
            certificate, key = self.server_pair = self.make_certificates()
            tls = f'https-enabled = true\n  https-certificate = "{certificate}"\n  https-private-key = "{key}"\n'
        (self.directory / "influxdb.conf").write_text(f"""reporting-disabled = true
bind-address = "{self.host}:{self.backup_port}"
[meta]
  dir = "{self.directory}/meta"
[data]
  dir = "{self.directory}/data"
  wal-dir = "{self.directory}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "{self.host}:{self.port}"
  auth-enabled = true
  log-enabled = true
  {tls}""")

    def command(self):
        return ["influxd", "-config", self.directory / "influxdb.conf"]

    def answers(self):
        return self.request("GET", "/ping")[0] == 204

    def first(self):
        self.query(f"CREATE USER {self.admin_user} WITH PASSWORD '{self.admin_password}' WITH ALL PRIVILEGES", user="")
        self.query(f"CREATE DATABASE {self.database}")
        status, text = self.request("POST", f"/write?db={self.database}", "items value=1", self.admin_user, self.admin_password)
        assert status == 204, text

    # ---- clients ----

    def request(self, method, path, body=None, user=None, password=None):
        """(status, text)."""
        if self.tls:
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=10,
                                                     context=ssl.create_default_context(cafile=self.ca_file))
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        headers = {}
        if user:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def query(self, text, user=None, password=None, database=None):
        """The results of InfluxQL; as the admin unless told otherwise, "" for nobody."""
        if user is None:
            user, password = self.admin_user, self.admin_password
        words = {"q": text} | ({"db": database} if database else {})
        status, answer = self.request("POST", "/query?" + urllib.parse.urlencode(words), None, user, password)
        if status != 200:
            raise InfluxError(status, answer)
        results = json.loads(answer)["results"]
        for result in results:
            if "error" in result:
                raise InfluxError(status, result["error"])
        return results

    def role_names(self, prefix="l-"):
        (series,) = self.query("SHOW USERS")[0]["series"]
        return sorted(row[0] for row in series.get("values", []) if row[0].startswith(prefix))

    def can_login(self, name, password):
        try:
            self.query("SHOW DATABASES", user=name, password=password)
            return True
        except InfluxError as error:
            return error.status != 401
