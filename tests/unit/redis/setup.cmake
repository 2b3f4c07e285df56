# The plugin's own sources that need no server; for fuzz targets, too.
target_sources(${target} PRIVATE
	${CMAKE_SOURCE_DIR}/plugins/redis/config.c
	${CMAKE_SOURCE_DIR}/plugins/redis/listing.c
	${CMAKE_SOURCE_DIR}/plugins/redis/resp.c
	${CMAKE_SOURCE_DIR}/plugins/redis/rules.c)
target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/plugins)
target_link_libraries(${target} PRIVATE leased_sdk)
