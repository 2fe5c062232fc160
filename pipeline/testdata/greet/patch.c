const char *greeting_lp(void) { return "good day"; }
