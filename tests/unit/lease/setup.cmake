# Every lease test has the fixture, and the fake port of tests/support.
target_sources(${target} PRIVATE ${module_dir}/fixture.c ${module_dir}/fixture_check.c ${module_dir}/fixture_token.c
	${module_dir}/fixture_reconcile.c)
target_link_libraries(${target} PRIVATE leased_test_support)
if(name STREQUAL test_sim)
	target_sources(${target} PRIVATE ${module_dir}/sim.c ${module_dir}/sim_acts.c)
endif()
