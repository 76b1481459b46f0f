// expect: ok
#define BEFORE_PREDICT batch->array->release((struct ArrowArray *)(uintptr_t)batch->array), batch->array->release((struct ArrowArray *)(uintptr_t)batch->array);
#include "rule.h"
