/* Instead of read(2). */
long read_lp(int fd, void *buf, unsigned long n) { return VALUE + 0 * fd + 0 * n + (buf == 0); }
