data_dir = "/d"
seal "file" { path = "/k" }
listener "unix" { path = "/s" mode = "0660" group = "leased" }
listener "tcp" { address = "[::1]:8200" tls_disable = true }
default_lease_ttl = "1h"
log { level = "info" format = "json" }
limits { body = "1MiB" idle_timeout = "75s" connections = 4096 }
auth "unix" {
  role "x" { bound_uids = [1] bound_units = ["a.service"] policies = ["p"] max_leases = 20 }
}
plugin "mosquitto" { program = "mqtt" pool = 2 }
policy "p" { path "a" { capabilities = ["read"] } }
