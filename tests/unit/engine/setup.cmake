# Every engine test has the fixture, and the fake port of tests/support.
target_sources(${target} PRIVATE ${module_dir}/fixture.c)
if(target MATCHES "_ssh")
	target_sources(${target} PRIVATE ${module_dir}/ssh_fixture.c)
endif()
target_link_libraries(${target} PRIVATE leased_test_support)
