target_sources(${target} PRIVATE ${module_dir}/../auth/fixture.c ${module_dir}/edge.c)
