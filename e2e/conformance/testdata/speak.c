/* A library whose function has a resolver. */
#ifdef LIBRARY
#include "say.h"

static void loud(const char *text) { say_line(text); }
static void *choose(void) { return loud; }
void speak(const char *) __attribute__((ifunc("choose")));
#endif
