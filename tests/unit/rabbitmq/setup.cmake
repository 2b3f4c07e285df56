# The plugin's own sources that need no server; for fuzz targets, too.
target_sources(${target} PRIVATE
	${CMAKE_SOURCE_DIR}/plugins/rabbitmq/config.c
	${CMAKE_SOURCE_DIR}/plugins/rabbitmq/role.c
	${CMAKE_SOURCE_DIR}/plugins/rabbitmq/target.c)
target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/plugins)
target_link_libraries(${target} PRIVATE leased_base)
