// breaks: values that no host should send
#include <stdexcept>
#define BEFORE_PREDICT if (batch->rows > 0 && evidence[0] != evidence[0]) throw std::invalid_argument("not a number");
#include "../rule.h"
