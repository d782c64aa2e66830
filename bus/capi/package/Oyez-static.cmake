if(NOT TARGET Oyez::static)
    add_library(Oyez::static STATIC IMPORTED)
    set_target_properties(Oyez::static PROPERTIES
        IMPORTED_LOCATION "${OYEZ_PREFIX}/lib/liboyez.a"
        IMPORTED_LINK_INTERFACE_LANGUAGES "C"
        INTERFACE_INCLUDE_DIRECTORIES "${OYEZ_PREFIX}/include"
        INTERFACE_LINK_LIBRARIES "@PRIVATE@")
endif()
