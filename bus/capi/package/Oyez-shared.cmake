if(NOT TARGET Oyez::shared)
    add_library(Oyez::shared SHARED IMPORTED)
    set_target_properties(Oyez::shared PROPERTIES
        IMPORTED_LOCATION "${OYEZ_PREFIX}/lib/liboyez.so"
        IMPORTED_SONAME "@SONAME@"
        INTERFACE_INCLUDE_DIRECTORIES "${OYEZ_PREFIX}/include")
endif()
