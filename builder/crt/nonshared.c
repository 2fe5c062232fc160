/* What crt1.o and libc_nonshared.a give a program, without this machine's
   copy of them. A glibc before 2.34 expects the program to run its own
   constructors; a later one does so too when it is handed these functions.
   Each NEED_ macro is set only if the program uses the function and the libc of
   the build lacks it. */

typedef void (*initialiser)(int, char **, char **);
typedef void (*finaliser)(void);
extern initialiser __preinit_array_start[], __preinit_array_end[];
extern initialiser __init_array_start[], __init_array_end[];
extern finaliser __fini_array_start[], __fini_array_end[];

__attribute__((visibility("hidden"))) void *__dso_handle = 0;

__attribute__((visibility("hidden"))) void lpbuild_init(int argc, char **argv, char **envp)
{
	for (initialiser *f = __preinit_array_start; f < __preinit_array_end; f++)
		(*f)(argc, argv, envp);
	for (initialiser *f = __init_array_start; f < __init_array_end; f++)
		(*f)(argc, argv, envp);
}

__attribute__((visibility("hidden"))) void lpbuild_fini(void)
{
	for (finaliser *f = __fini_array_end; f > __fini_array_start;)
		(*--f)();
}

#ifdef NEED_atexit
int __cxa_atexit(void (*)(void *), void *, void *);
int atexit(void (*f)(void)) { return __cxa_atexit((void (*)(void *))f, 0, __dso_handle); }
#endif
#ifdef NEED_at_quick_exit
int __cxa_at_quick_exit(void (*)(void *), void *);
int at_quick_exit(void (*f)(void)) { return __cxa_at_quick_exit((void (*)(void *))f, __dso_handle); }
#endif
#ifdef NEED_pthread_atfork
int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	return __register_atfork(prepare, parent, child, __dso_handle);
}
#endif
