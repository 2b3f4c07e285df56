# What the image does unless another file is mounted here: it serves inside the container alone, on its Unix socket, and whoever
# can start a process in the container as its user is the administrator.
data_dir = "/var/lib/leased"
seal "file"     { path = "/etc/leased/key/root.key" }
listener "unix" { path = "/run/leased/leased.sock" }
audit "file"    { path = "/var/log/leased/audit.log" }
plugin_dir = "/usr/libexec/leased/plugins"
auth "unix" {
  role "admin" { bound_uids = [8200]  policies = ["admin"] }
}
policy "admin" {
  path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
}
