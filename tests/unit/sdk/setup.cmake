target_link_libraries(${target} PRIVATE leased_web)
