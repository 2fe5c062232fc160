/* Takes down what libgreet answers. */

#include "witness.h"

#include "answer.h"
