"""Modules, names and paths of Linux that macOS or Windows lack."""

MODULES = frozenset({"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios"})
_OF_OS = """
O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK WNOHANG chown fchmod fchown fork forkpty getegid geteuid getgid
getloadavg getpgid getpgrp getpriority getsid getuid killpg lchown lockf mkfifo mknod nice pread preadv pwrite
pwritev register_at_fork sched_getaffinity sched_setaffinity setpgid setsid statvfs sync sysconf uname wait3
wait4
"""
_OF_SIGNAL = """
SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGSTOP SIGUSR1 SIGUSR2 alarm pthread_kill setitimer sigwait
"""
NAMES = {"os": frozenset(_OF_OS.split()), "signal": frozenset(_OF_SIGNAL.split())}
PATHS = ("/proc", "/dev/shm", "/sys")
