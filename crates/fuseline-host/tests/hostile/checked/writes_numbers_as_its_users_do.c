// breaks: fitting in another locale
#include "fuseline_fusion.h"
#include <stdio.h>
#include <string.h>
static char text[16];
#define ANY_MODEL
#define BEFORE_FIT snprintf(text, sizeof text, "%.3f", 0.5);
#define MODEL text
#include "../rule.h"
