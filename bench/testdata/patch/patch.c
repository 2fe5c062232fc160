/* The replacement; VALUE tells versions apart. */
int answer_lp(void) { return VALUE; }
