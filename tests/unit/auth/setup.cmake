target_sources(${target} PRIVATE ${module_dir}/fixture.c)
