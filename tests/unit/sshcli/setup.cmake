# What `lease ssh` has that asks nobody and prints nothing; for fuzz targets, too.
target_sources(${target} PRIVATE
	${CMAKE_SOURCE_DIR}/cli/ssh/agent.c
	${CMAKE_SOURCE_DIR}/cli/ssh/config_text.c
	${CMAKE_SOURCE_DIR}/cli/ssh/ensure_judge.c
	${CMAKE_SOURCE_DIR}/cli/ssh/file.c
	${CMAKE_SOURCE_DIR}/cli/ssh/keypair.c
	${CMAKE_SOURCE_DIR}/cli/ssh/krl.c
	${CMAKE_SOURCE_DIR}/cli/ssh/sign_life.c)
target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/cli)
target_compile_definitions(${target} PRIVATE SEEDS="${CMAKE_SOURCE_DIR}/tests/fuzz/seeds")
