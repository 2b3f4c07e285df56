# Every audit test has the fixture.
target_sources(${target} PRIVATE ${module_dir}/fixture.c)
