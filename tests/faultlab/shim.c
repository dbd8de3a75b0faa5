/* Stands between a process and libc (LD_PRELOAD): counts what touches files below one folder, and at the
   n-th kills the process before or after it, or lets it fail as a bad disk does. Built and used by lab.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OFF, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM, SHORT, STOP };

static char folder[PATH_MAX];
static int mode = OFF, error = 0;
static atomic_long syncs, writes;
static long at = -1;

void lab_arm(const char *path, int how, long n, int with_errno) {
    strncpy(folder, path, sizeof folder - 1);
    atomic_store(&syncs, 0);
    atomic_store(&writes, 0);
    mode = how, at = n, error = with_errno;
}
long lab_syncs(void) { return atomic_load(&syncs); }
long lab_writes(void) { return atomic_load(&writes); }

/* Shared with the process that forked this one: the path that was just synced, or nothing. */
static char *synced;
char *lab_synced(void) {
    if (!synced) synced = mmap(0, PATH_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return synced;
}

static int below(const char *path) { return folder[0] && !strncmp(path, folder, strlen(folder)); }

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlink, link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = 0;
    return n > 0;
}

static int fd_below(int fd) {
    char path[PATH_MAX];
    return folder[0] && fd >= 3 && path_of(fd, path) && below(path);
}

static int at_below(int fd, const char *path) {
    return path[0] == '/' ? below(path) : fd == AT_FDCWD ? 0 : fd_below(fd);
}

static void die(void) { syscall(SYS_kill, getpid(), SIGKILL); for (;;) pause(); }

/* To this thread: one sent to the process may stop another thread first, and this one would go on for a moment. */
static void stop(void) { syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSTOP); }

/* A rename, fsync, unlink, mkdir: dies or stops before and after it. */
#define SYNC(inside, call)                                                                                   \
    do {                                                                                                     \
        if (!(inside)) return call;                                                                          \
        long n = atomic_fetch_add(&syncs, 1);                                                                \
        if (mode == KILL_BEFORE && n == at) die();                                                           \
        if (mode == STOP) stop();                                                                            \
        int result = call;                                                                                   \
        if (mode == KILL_AFTER && n == at) die();                                                            \
        if (mode == STOP) stop();                                                                            \
        return result;                                                                                       \
    } while (0)
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int rename(const char *a, const char *b) { SYNC(below(a), REAL(rename)(a, b)); }
int renameat(int d, const char *a, int e, const char *b) { SYNC(at_below(d, a), REAL(renameat)(d, a, e, b)); }
int unlink(const char *a) { SYNC(below(a), REAL(unlink)(a)); }
int unlinkat(int d, const char *a, int f) { SYNC(at_below(d, a), REAL(unlinkat)(d, a, f)); }
int rmdir(const char *a) { SYNC(below(a), REAL(rmdir)(a)); }
int mkdir(const char *a, mode_t m) { SYNC(below(a), REAL(mkdir)(a, m)); }

/* Whether this write fails now; counts it. */
static int fails(void) {
    long n = atomic_fetch_add(&writes, 1);
    int now = (mode == FAIL_ONCE && n == at) || (mode == FAIL_FROM && n >= at);
    if (now) errno = error;
    return now;
}

static size_t cut(size_t size) { return mode == SHORT && atomic_load(&writes) == at + 1 && size > 1 ? size / 2 : size; }

/* Record which file or folder was synced, also the folder itself. What lies below it is not synced in truth: the
   machine is never cut off, and real syncs would take most of the time. */
static int recorded(int fd, int result) {
    if (mode == STOP && synced) path_of(fd, synced);
    return result;
}

int fsync(int fd) {
    if (!fd_below(fd)) return recorded(fd, REAL(fsync)(fd));
    if (fails()) return -1;
    SYNC(1, recorded(fd, 0));
}
int fdatasync(int fd) {
    if (!fd_below(fd)) return recorded(fd, REAL(fdatasync)(fd));
    if (fails()) return -1;
    SYNC(1, recorded(fd, 0));
}
ssize_t write(int fd, const void *data, size_t size) {
    if (!fd_below(fd)) return REAL(write)(fd, data, size);
    return fails() ? -1 : REAL(write)(fd, data, cut(size));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t where) {
    if (!fd_below(fd)) return REAL(pwrite)(fd, data, size, where);
    return fails() ? -1 : REAL(pwrite)(fd, data, cut(size), where);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t where) {
    if (!fd_below(fd)) return REAL(pwrite64)(fd, data, size, where);
    return fails() ? -1 : REAL(pwrite64)(fd, data, cut(size), where);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (fd_below(fd) && fails()) return -1;
    return REAL(writev)(fd, parts, count);
}
int ftruncate(int fd, off_t size) {
    if (fd_below(fd) && fails()) return -1;
    return REAL(ftruncate)(fd, size);
}
