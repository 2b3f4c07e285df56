target_sources(${target} PRIVATE ${module_dir}/fix.c)
if(name MATCHES "^test_nomem")
	target_sources(${target} PRIVATE ${module_dir}/world.c)
endif()
