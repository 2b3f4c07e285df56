# The differential test: a reference evaluator in Python against the C one, over random cases from a seed.
if(NOT TARGET policy_cases)
	add_executable(policy_cases ${module_dir}/policy_cases.c)
	target_link_libraries(policy_cases PRIVATE ${LEASED_MODULES})
	set_target_properties(policy_cases PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unit)
	add_test(NAME unit_policy_differential
		COMMAND /usr/bin/python3 ${module_dir}/differential.py $<TARGET_FILE:policy_cases>)
	set_tests_properties(unit_policy_differential PROPERTIES TIMEOUT 120 LABELS unit)
endif()
