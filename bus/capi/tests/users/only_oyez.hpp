#include <oyez.hpp>
