# The plugin's own sources that need no server; for fuzz targets, too.
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)
target_sources(${target} PRIVATE
	${CMAKE_SOURCE_DIR}/plugins/postgresql/config.c
	${CMAKE_SOURCE_DIR}/plugins/postgresql/guard.c
	${CMAKE_SOURCE_DIR}/plugins/postgresql/url.c)
target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/plugins)
target_link_libraries(${target} PRIVATE PkgConfig::LIBPQ)
