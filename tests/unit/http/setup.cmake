target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/http/edge.c)
if(target STREQUAL unit_http_test_listener)
	target_link_options(${target} PRIVATE -Wl,--wrap=getsockopt)
elseif(target STREQUAL unit_http_test_vectors)
	target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/http/vectors.c)
elseif(target MATCHES "^unit_http_test_tls")
	target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/http/vectors.c
		${CMAKE_SOURCE_DIR}/tests/unit/http/tls_client.c)
endif()

# The edge alone as a program, for tests by hand and as the yardstick of benchmarks.
if(NOT TARGET http_echo)
	add_executable(http_echo ${CMAKE_SOURCE_DIR}/tests/support/http_echo.c)
	target_link_libraries(http_echo PRIVATE leased_http)
	set_target_properties(http_echo PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unit)
endif()
