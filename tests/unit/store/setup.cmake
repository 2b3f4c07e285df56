target_sources(${target} PRIVATE ${module_dir}/fix.c)
