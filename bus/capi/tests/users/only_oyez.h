#include <oyez.h>
