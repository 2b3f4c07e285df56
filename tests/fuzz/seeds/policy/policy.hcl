# comment
path "secret/*" { capabilities = ["read", "list",] }
path "a/+/b*" {
  policy = "write" /* old */
}
