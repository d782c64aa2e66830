# Oyez::shared and Oyez::static, each from a file of its own: a system may have only one of the two.
# The folder may have been found by a link such as /lib, beside which there is no include.
get_filename_component(OYEZ_PREFIX "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
get_filename_component(OYEZ_PREFIX "${OYEZ_PREFIX}/../../.." ABSOLUTE)
foreach(OYEZ_KIND shared static)
    include("${CMAKE_CURRENT_LIST_DIR}/Oyez-${OYEZ_KIND}.cmake" OPTIONAL)
endforeach()
if(NOT TARGET Oyez::shared AND NOT TARGET Oyez::static)
    set(Oyez_FOUND FALSE)
    set(Oyez_NOT_FOUND_MESSAGE "neither Oyez-shared.cmake nor Oyez-static.cmake is in ${CMAKE_CURRENT_LIST_DIR}")
endif()
unset(OYEZ_PREFIX)
unset(OYEZ_KIND)
