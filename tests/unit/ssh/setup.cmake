# The plugin's own sources but its main(); for fuzz targets, too.
target_sources(${target} PRIVATE
	${CMAKE_SOURCE_DIR}/plugins/ssh/certificate.c
	${CMAKE_SOURCE_DIR}/plugins/ssh/certify.c
	${CMAKE_SOURCE_DIR}/plugins/ssh/import.c
	${CMAKE_SOURCE_DIR}/plugins/ssh/import_openssh.c
	${CMAKE_SOURCE_DIR}/plugins/ssh/key.c
	${CMAKE_SOURCE_DIR}/plugins/ssh/krl.c
	${CMAKE_SOURCE_DIR}/plugins/ssh/option.c
	${CMAKE_SOURCE_DIR}/plugins/ssh/push_reply.c
	${CMAKE_SOURCE_DIR}/plugins/ssh/serials.c
	${CMAKE_SOURCE_DIR}/plugins/ssh/sign.c)
target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/plugins)
target_link_libraries(${target} PRIVATE leased_web)
target_compile_definitions(${target} PRIVATE SEEDS="${CMAKE_SOURCE_DIR}/tests/fuzz/seeds")
