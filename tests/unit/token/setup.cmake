# The plugin's own sources but its main(); for fuzz targets, too.
target_sources(${target} PRIVATE
	${CMAKE_SOURCE_DIR}/plugins/token/algorithm.c
	${CMAKE_SOURCE_DIR}/plugins/token/base64url.c
	${CMAKE_SOURCE_DIR}/plugins/token/generate.c
	${CMAKE_SOURCE_DIR}/plugins/token/jwk.c
	${CMAKE_SOURCE_DIR}/plugins/token/key.c
	${CMAKE_SOURCE_DIR}/plugins/token/sign.c)
target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/plugins)
