# Every audit test has the fixture.
target_sources(${target} PRIVATE ${module_dir}/fixture.c)
if(name STREQUAL test_disk)
	target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/diskfault.c)
endif()
