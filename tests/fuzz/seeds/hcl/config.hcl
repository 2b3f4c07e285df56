data_dir = "/var/lib/leased" // here
log { level = "info" format = "json" }
text = <<-EOT
    a \u00e9
      b
    EOT
n = -1.5e3 
b = true
s = "q\"\\\u00e9"
