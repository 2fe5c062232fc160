struct { unsigned long module, offset; } secret_lp;
void *__tls_get_addr(void *);
int answer_lp(void) { return VALUE; }
int peek_lp(void) { return *(int *)__tls_get_addr(&secret_lp) + VALUE; }
