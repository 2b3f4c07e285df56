# The plugin's own sources that need no server; for fuzz targets, too.
target_sources(${target} PRIVATE
	${CMAKE_SOURCE_DIR}/plugins/mysql/config.c
	${CMAKE_SOURCE_DIR}/plugins/mysql/hash.c
	${CMAKE_SOURCE_DIR}/plugins/mysql/session_id.c
	${CMAKE_SOURCE_DIR}/plugins/mysql/sql.c
	${CMAKE_SOURCE_DIR}/plugins/mysql/url.c)
target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/plugins)
