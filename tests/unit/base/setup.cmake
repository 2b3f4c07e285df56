if(name STREQUAL "test_secret")
	target_link_options(${target} PRIVATE -Wl,--wrap=OPENSSL_cleanse)
endif()
