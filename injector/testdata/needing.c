/* A replacement that uses what another library exports. */
int offset(void);
int answer_lp(void) { return 10 * VALUE + offset(); }
