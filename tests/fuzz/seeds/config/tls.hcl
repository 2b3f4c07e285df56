data_dir="/d"
seal "file" {path="/k"}
listener "tcp" { address = "0.0.0.0:1" tls_cert_file="/c" tls_key_file="/k" tls_min_version="1.2" }
limits { tls_handshake_timeout = "3s" }
