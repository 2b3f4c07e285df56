"""The RabbitMQ plugin's backend: a throw-away node, with the login that docs/how-to/rabbitmq.md tells people to make."""

import urllib.parse

from backend import BackendBase
from pg import free_port
from rabbitmq_server import RabbitMQ


def quote(name):
    return urllib.parse.quote(name, safe="")


class Backend(BackendBase):
    name = "rabbitmq"
    ops = {"describe", "open", "check", "mint", "renew", "disarm", "remove", "set_password", "inventory", "ping"}
    admin_user, admin_password = "for-leased", "Aa1-of-the-login-for-leased"

    def start(self):
        self.server = RabbitMQ()
        self.server.start()
        body = {"password": self.admin_password, "tags": "administrator"}
        status, answer = self.server.api("PUT", f"/api/users/{self.admin_user}", body)
        assert status == 201, answer

    def stop(self):
        self.server.destroy()

    def config(self):
        return {"connection_uri": f"http://{self.server.host}:{self.server.api_port}", "username": self.admin_user,
                "password": self.admin_password}

    def secrets(self):
        return [self.admin_password]

    def bad_configs(self):
        good = self.config()
        uri = good["connection_uri"]
        return [
            *((f"no {name}", {key: value for key, value in good.items() if key != name}, {"invalid"}) for name in good),
            ("a wrong password", good | {"password": "wrong-Password-1"}, {"denied"}),
            ("a user that is not there", good | {"username": "nobody"}, {"denied"}),
            ("a port where nobody listens", good | {"connection_uri": f"http://127.0.0.1:{free_port()}"}, {"unavailable"}),
            ("another scheme", good | {"connection_uri": uri.replace("http", "amqp")}, {"invalid"}),
            ("a password in the URI", good | {"connection_uri": uri.replace("//", f"//x:{self.admin_password}@")}, {"invalid"}),
            ("another machine without TLS", good | {"connection_uri": "http://192.0.2.1:15672"}, {"invalid"}),
            ("TLS where there is none", good | {"connection_uri": uri.replace("http", "https")}, {"unavailable"}),
            ("what is not the API", good | {"connection_uri": f"http://127.0.0.1:{self.server.port}"}, {"unavailable"}),
            ("a path that is not the API's", good | {"connection_uri": uri + "/nowhere"}, {"refused", "denied"}),
            ("an authority that is none", good | {"ca_cert": "hello"}, {"invalid"}),
            ("a password that is no text", good | {"password": {"a": 1}}, {"invalid"}),
        ]

    def role(self):
        return {"vhosts": '{"/": {"configure": "", "write": "^app-", "read": "^app-"}}',
                "vhost_topics": {"/": {"amq.topic": {"write": "^app", "read": "^app"}}}, "tags": "policymaker"}

    def exists(self, name):
        if name in (".", ".."):
            return name in self.server.role_names("")
        return self.server.api("GET", f"/api/users/{quote(name)}")[0] == 200

    def can_log_in(self, name, password):
        return self.server.can_login(name, password)

    def open_session(self, name, password):
        return self.server.session(name, password)

    def make_foreign(self, name):
        assert self.server.api("PUT", f"/api/users/{quote(name)}", {"password": "foreign", "tags": ""})[0] == 201

    def remove_foreign(self, name):
        assert self.server.api("DELETE", f"/api/users/{quote(name)}")[0] == 204
