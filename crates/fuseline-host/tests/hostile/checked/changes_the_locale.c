// breaks: locale and rounding mode
#include "fuseline_fusion.h"
#include <stdlib.h>
#include <locale.h>
#define BEFORE_FIT setlocale(LC_ALL, "C.UTF-8");
#include "../rule.h"
