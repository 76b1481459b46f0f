// expect: failed to predict: its process was killed by SIGABRT
#include <stdexcept>
#define BEFORE_PREDICT throw std::runtime_error("nobody catches this");
#include "rule.h"
