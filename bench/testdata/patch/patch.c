int answer_lp(void) { return 2; }
