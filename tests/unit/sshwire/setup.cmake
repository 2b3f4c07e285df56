# What the tests read are the seeds of the fuzz targets: keys, certificates and signatures that ssh-keygen made.
target_compile_definitions(${target} PRIVATE SEEDS="${CMAKE_SOURCE_DIR}/tests/fuzz/seeds")
