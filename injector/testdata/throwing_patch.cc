// Replacements; of value 8 one lets an exception pass, of value 9 it throws one.
extern "C" {
int throws(int);
int answer_lp(void) { return VALUE; }
int calls_back_lp(int (*f)(int), int n) { return f(n) + VALUE; }
int cleans_up_lp(int n) { return n + VALUE; }
int throws_lp(int n) { return n + VALUE; }
#if VALUE == 9
int begins_with_call_lp(int n) { if (n) throw VALUE; return VALUE; }
#elif VALUE == 8
int begins_with_call_lp(int n) { return throws(n) + VALUE; }
#else
int begins_with_call_lp(int n) { return n + VALUE; }
#endif
}
