# The plugin's own sources that start nothing; for fuzz targets, too.
target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/plugins/exec/config.c ${CMAKE_SOURCE_DIR}/plugins/exec/output.c
	${CMAKE_SOURCE_DIR}/plugins/exec/trust.c)
target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(${target} PRIVATE leased_sdk)
