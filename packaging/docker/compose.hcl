# leased of docker-compose.yml. Inside the container its own user is the administrator: docker compose exec leased lease ..
# From outside it is https://localhost:8200, with a token and the authority's certificate (docs/how-to/docker.md).
data_dir = "/var/lib/leased"
seal "file"     { path = "/etc/leased/key/root.key" }
listener "unix" { path = "/run/leased/leased.sock" }
listener "tcp"  { address = "0.0.0.0:8200"  tls_cert_file = "/etc/leased/tls/server.crt"  tls_key_file = "/etc/leased/tls/server.key" }
audit "file"    { path = "/var/log/leased/audit.log" }
plugin_dir = "/usr/libexec/leased/plugins"
auth "unix" {
  role "admin" { bound_uids = [8200]  policies = ["admin"] }
}
policy "admin" {
  path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
}
