/* The function that most of LibCare's cases patch, in a program or in a library, and its replacements. */
#include <stdio.h>
#include <stdlib.h>
#include "say.h"
#ifndef GREET
#define GREET greet
#endif
#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define GREET_LP JOIN(GREET, _lp)

#ifndef PATCH

OPAQUE static void report(const char *text) { say_line(text); }
OPAQUE void GREET(void) { report("UNPATCHED\n"); }

#elif defined NEW_FUNC
OPAQUE static void added(const char *text) { say_line(text); }
void GREET_LP(void) { added("PATCHED\n"); }

#elif defined REF_ORIG
void (*report_in_target)(const char *);
void GREET_LP(void) { report_in_target("PATCHED\n"); }

#elif defined REF_RODATA
static const char *const texts[] = {"WRONG\n", "PATCHED\n", "WRONG\n"};
static const char chosen[] = {0, 1, 2};
OPAQUE static int one(void) { return 1; }
void GREET_LP(void) { say_line(texts[(int)chosen[one()]]); }

#elif defined REF_GLIBC
void GREET_LP(void) { dprintf(1, "%s%s\n", "PAT", "CHED"); }

#elif defined REF_GLIBC_DATA
void GREET_LP(void)
{
	fputs("PATCHED\n", stdout);
	fflush(stdout);
}

#elif defined IFUNC
void speak(const char *);
void GREET_LP(void) { speak("PATCHED\n"); }

#elif defined NEW_VAR
int counted = 41;
void GREET_LP(void) { say_line(++counted > 41 ? "PATCHED\n" : "WRONG\n"); }

#elif defined INIT_ARRAY
static const char *text = "WRONG\n";
__attribute__((constructor)) static void begin(void) { text = "PATCHED\n"; }
void GREET_LP(void) { say_line(text); }

#elif PATCH == 2
void GREET_LP(void) { say_line("SEMIPATCHED\n"); }

#else
void GREET_LP(void) { say_line("PATCHED\n"); }
#endif
