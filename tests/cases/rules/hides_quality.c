/* it says that it does not read quality, and weighs by it */
#define DESCRIPTOR "{\"id\":\"org.plugins.case\",\"name\":\"case\",\"version\":\"1.0.0\",\"licence\":\"MIT\",\"summary\":\"s\",\"params\":{\"type\":\"object\"},\"limits\":{\"modalities\":64,\"classes\":100},\"capabilities\":{\"uses_quality\":false,\"row_independent\":true,\"accepts_missing\":true,\"accepts_embeddings\":false}}"
#define Q
#include "rule.h"
