package elfinfo

import "strings"

// cancellationHelpers are the functions of glibc that make a system call a
// cancellation point: up to 2.40 a pair around it, of which this is the first,
// since then the one that performs it.
var cancellationHelpers = map[string]bool{
	"__pthread_enable_asynccancel": true,
	"__libc_enable_asynccancel":    true,
	"__syscall_cancel":             true,
	"__internal_syscall_cancel":    true,
}

// cancellationPoints are the functions that POSIX (XSH 2.9.5) requires to be
// cancellation points, and those that glibc adds.
var cancellationPoints = nameSet(`
	accept accept4 aio_suspend clock_nanosleep close cnd_timedwait cnd_wait connect copy_file_range creat
	creat64 epoll_pwait epoll_pwait2 epoll_wait fallocate fallocate64 fcntl fcntl64 fdatasync fsync
	getrandom lockf lockf64 mq_receive mq_send mq_timedreceive mq_timedsend msgrcv msgsnd msync
	nanosleep open open64 open_by_handle_at openat openat64 pause poll ppoll pread pread64 preadv
	preadv2 preadv64 preadv64v2 pselect pthread_clockjoin_np pthread_cond_clockwait
	pthread_cond_timedwait pthread_cond_wait pthread_join pthread_testcancel pthread_timedjoin_np
	pwrite pwrite64 pwritev pwritev2 pwritev64 pwritev64v2 read readv recv recvfrom recvmmsg recvmsg
	select sem_clockwait sem_timedwait sem_wait send sendmmsg sendmsg sendto sigpause sigsuspend
	sigtimedwait sigwait sigwaitinfo sleep splice sync_file_range system tcdrain tee thrd_join
	thrd_sleep usleep vmsplice wait wait3 wait4 waitid waitpid write writev`)

func nameSet(names string) map[string]bool {
	set := make(map[string]bool)
	for _, n := range strings.Fields(names) {
		set[n] = true
	}
	return set
}

// isLibc says whether a library is one of those that make up the C library.
func isLibc(soname string) bool {
	return strings.HasPrefix(soname, "libc.so.") || strings.HasPrefix(soname, "libpthread.so.") ||
		strings.HasPrefix(soname, "librt.so.")
}

// IsCancellationPoint says whether a function of libc is a cancellation point (XSH 2.9.5)
// by its name, also under libc's internal names (__libc_read, __GI___poll).
func IsCancellationPoint(name string) bool {
	name = strings.TrimLeft(name, "_")
	for _, prefix := range []string{"GI_", "libc_", "new_"} {
		name = strings.TrimLeft(strings.TrimPrefix(name, prefix), "_")
	}
	return cancellationPoints[name]
}
