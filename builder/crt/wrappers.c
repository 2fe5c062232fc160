/* Functions that glibc has only since 2.33: before, its headers and its static
   part made them of versioned functions, which is what happens here. The first
   argument is the layout of struct stat (1) or the way of passing dev_t (0);
   x86-64 has one of each.
   Each NEED_ macro is set only if the code uses the function and the build
   lacks it. Compiled with -fvisibility=hidden: nobody else is to find these. */

struct stat;
int __xstat(int, const char *, struct stat *);
int __lxstat(int, const char *, struct stat *);
int __fxstat(int, int, struct stat *);
int __fxstatat(int, int, const char *, struct stat *, int);
int __xmknod(int, const char *, unsigned, unsigned long *);
int __xmknodat(int, int, const char *, unsigned, unsigned long *);
#ifdef NEED_stat
int stat(const char *path, struct stat *st) { return __xstat(1, path, st); }
#endif
#ifdef NEED_stat64
int stat64(const char *path, struct stat *st) { return __xstat(1, path, st); }
#endif
#ifdef NEED_lstat
int lstat(const char *path, struct stat *st) { return __lxstat(1, path, st); }
#endif
#ifdef NEED_lstat64
int lstat64(const char *path, struct stat *st) { return __lxstat(1, path, st); }
#endif
#ifdef NEED_fstat
int fstat(int fd, struct stat *st) { return __fxstat(1, fd, st); }
#endif
#ifdef NEED_fstat64
int fstat64(int fd, struct stat *st) { return __fxstat(1, fd, st); }
#endif
#ifdef NEED_fstatat
int fstatat(int dir, const char *path, struct stat *st, int flags) { return __fxstatat(1, dir, path, st, flags); }
#endif
#ifdef NEED_fstatat64
int fstatat64(int dir, const char *path, struct stat *st, int flags) { return __fxstatat(1, dir, path, st, flags); }
#endif
#ifdef NEED_mknod
int mknod(const char *path, unsigned mode, unsigned long dev) { return __xmknod(0, path, mode, &dev); }
#endif
#ifdef NEED_mknodat
int mknodat(int dir, const char *path, unsigned mode, unsigned long dev) { return __xmknodat(0, dir, path, mode, &dev); }
#endif
