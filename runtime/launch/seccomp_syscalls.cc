// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/seccomp_syscalls.h"

namespace quoll::runtime {
namespace {

// One subject a paragraph, which is easier to review than columns.
// clang-format off
constexpr const char* kAlways[] = {
    // Files: open, close, descriptors.
    "open", "openat", "openat2", "creat", "close", "close_range", "dup", "dup2",
    "dup3", "fcntl", "fcntl64", "flock", "ioctl", "pipe", "pipe2",
    // Files: content.
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev",
    "pwrite64", "pwritev", "pwritev2", "lseek", "_llseek", "sendfile",
    "sendfile64", "splice", "tee", "vmsplice", "copy_file_range", "readahead",
    "fadvise64", "fadvise64_64", "arm_fadvise64_64", "fallocate", "truncate",
    "truncate64", "ftruncate", "ftruncate64", "sync", "syncfs", "fsync",
    "fdatasync", "sync_file_range", "sync_file_range2", "arm_sync_file_range",
    "cachestat",
    // Files: names and directories.
    "getcwd", "chdir", "fchdir", "getdents", "getdents64", "link", "linkat",
    "symlink", "symlinkat", "readlink", "readlinkat", "unlink", "unlinkat",
    "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "mknod",
    "mknodat", "name_to_handle_at",
    // Files: attributes.
    "stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "fstatat64",
    "newfstatat", "statx", "statfs", "statfs64", "fstatfs", "fstatfs64",
    "ustat", "access", "faccessat", "faccessat2", "chmod", "fchmod", "fchmodat",
    "fchmodat2", "chown", "chown32", "fchown", "fchown32", "fchownat", "lchown",
    "lchown32", "umask", "utime", "utimes", "utimensat", "utimensat_time64",
    "futimesat", "getxattr", "lgetxattr", "fgetxattr", "getxattrat", "setxattr",
    "lsetxattr", "fsetxattr", "setxattrat", "listxattr", "llistxattr",
    "flistxattr", "listxattrat", "removexattr", "lremovexattr", "fremovexattr",
    "removexattrat", "file_getattr", "file_setattr", "statmount", "listmount",
    // Files: events.
    "inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    "fanotify_mark",
    // Waiting for descriptors.
    "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
    "pselect6_time64", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_ctl_old", "epoll_wait", "epoll_wait_old", "epoll_pwait",
    "epoll_pwait2", "eventfd", "eventfd2", "signalfd", "signalfd4",
    // Asynchronous I/O of the old kind.
    "io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents",
    "io_pgetevents", "io_pgetevents_time64",
    // Sockets ("socket" itself is restricted by its family).
    "socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown",
    "getsockname", "getpeername", "getsockopt", "setsockopt", "send", "sendto",
    "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg",
    "recvmmsg_time64", "socketcall",
    // Memory.
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise",
    "mincore", "msync", "mlock", "mlock2", "mlockall", "munlock", "munlockall",
    "remap_file_pages", "membarrier", "memfd_create", "memfd_secret",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "mseal", "map_shadow_stack",
    "process_mrelease",
    // Processes and threads ("clone" is restricted by its flags).
    "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4",
    "waitid", "waitpid", "pidfd_open", "pidfd_send_signal", "getpid", "getppid",
    "gettid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid",
    "set_tid_address", "set_thread_area", "get_thread_area", "arch_prctl",
    "prctl", "set_robust_list", "get_robust_list", "rseq", "futex",
    "futex_time64", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue",
    "modify_ldt", "cacheflush", "set_tls", "get_tls", "breakpoint", "usr26",
    "usr32", "riscv_flush_icache", "riscv_hwprobe", "s390_pci_mmio_read",
    "s390_pci_mmio_write", "s390_runtime_instr", "swapcontext", "rtas",
    "uretprobe", "rt_tgsigqueueinfo",
    // A tracer sees only its own user's processes; since Linux 4.8 a traced
    // process cannot slip past its filter any more.
    "ptrace",
    // Signals.
    "kill", "tkill", "tgkill", "pause", "alarm", "signal", "sigaction",
    "sigprocmask", "sigpending", "sigreturn", "sigsuspend", "sigaltstack",
    "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigqueueinfo",
    "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "rt_sigtimedwait_time64", "restart_syscall",
    // Users, groups, capabilities; the kernel checks each change.
    "getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32",
    "getegid", "getegid32", "getresuid", "getresuid32", "getresgid",
    "getresgid32", "getgroups", "getgroups32", "setuid", "setuid32", "setgid",
    "setgid32", "setreuid", "setreuid32", "setregid", "setregid32", "setresuid",
    "setresuid32", "setresgid", "setresgid32", "setgroups", "setgroups32",
    "setfsuid", "setfsuid32", "setfsgid", "setfsgid32", "capget", "capset",
    "seccomp", "landlock_create_ruleset", "landlock_add_rule",
    "landlock_restrict_self",
    // Limits and scheduling.
    "getrlimit", "ugetrlimit", "setrlimit", "prlimit64", "getrusage",
    "getpriority", "setpriority", "nice", "sched_yield", "sched_getaffinity",
    "sched_setaffinity", "sched_getparam", "sched_setparam",
    "sched_getscheduler", "sched_setscheduler", "sched_getattr",
    "sched_setattr", "sched_get_priority_max", "sched_get_priority_min",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "ioprio_get",
    "ioprio_set", "getcpu",
    // Time: reading it and timers. adjtimex reads without CAP_SYS_TIME.
    "time", "gettimeofday", "times", "clock_gettime", "clock_gettime64",
    "clock_getres", "clock_getres_time64", "clock_nanosleep",
    "clock_nanosleep_time64", "nanosleep", "adjtimex", "clock_adjtime",
    "clock_adjtime64", "getitimer", "setitimer", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
    "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64",
    "timerfd_settime", "timerfd_settime64",
    // System V and POSIX IPC: a namespace's own.
    "ipc", "shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semctl",
    "semtimedop", "semtimedop_time64", "msgget", "msgsnd", "msgrcv", "msgctl",
    "mq_open", "mq_unlink", "mq_timedsend", "mq_timedsend_time64",
    "mq_timedreceive", "mq_timedreceive_time64", "mq_notify", "mq_getsetattr",
    // About the system.
    "uname", "sysinfo", "getrandom", "lsm_get_self_attr", "lsm_list_modules",
};
constexpr const char* kDacReadSearch[] = {
    "open_by_handle_at",
};
constexpr const char* kSysAdmin[] = {
    "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen",
    "fspick", "lookup_dcookie", "mount", "mount_setattr", "move_mount",
    "open_tree", "open_tree_attr", "perf_event_open", "quotactl", "quotactl_fd",
    "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2",
    "unshare", "pivot_root",
};
constexpr const char* kSysBoot[] = {
    "reboot",
};
constexpr const char* kSysChroot[] = {
    "chroot",
};
constexpr const char* kSysModule[] = {
    "delete_module", "finit_module", "init_module",
};
constexpr const char* kSysPacct[] = {
    "acct",
};
constexpr const char* kSysPtrace[] = {
    "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv",
    "process_vm_writev",
};
constexpr const char* kSysRawio[] = {
    "ioperm", "iopl",
};
constexpr const char* kSysTime[] = {
    "clock_settime", "clock_settime64", "settimeofday", "stime",
};
constexpr const char* kSysTtyConfig[] = {
    "vhangup",
};
constexpr const char* kSysNice[] = {
    "get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node",
    "migrate_pages", "move_pages",
};
constexpr const char* kSyslog[] = {
    "syslog",
};
constexpr const char* kBpf[] = {
    "bpf",
};
constexpr const char* kPerfmon[] = {
    "perf_event_open",
};
// clang-format on

constexpr CapabilitySyscalls kByCapability[] = {
    {"CAP_DAC_READ_SEARCH", kDacReadSearch},
    {"CAP_SYS_ADMIN", kSysAdmin},
    {"CAP_SYS_BOOT", kSysBoot},
    {"CAP_SYS_CHROOT", kSysChroot},
    {"CAP_SYS_MODULE", kSysModule},
    {"CAP_SYS_PACCT", kSysPacct},
    {"CAP_SYS_PTRACE", kSysPtrace},
    {"CAP_SYS_RAWIO", kSysRawio},
    {"CAP_SYS_TIME", kSysTime},
    {"CAP_SYS_TTY_CONFIG", kSysTtyConfig},
    {"CAP_SYS_NICE", kSysNice},
    {"CAP_SYSLOG", kSyslog},
    {"CAP_BPF", kBpf},
    {"CAP_PERFMON", kPerfmon},
};

}  // namespace

const absl::Span<const char* const> kAlwaysAllowedSyscalls = kAlways;
const absl::Span<const CapabilitySyscalls> kCapabilitySyscalls = kByCapability;

}  // namespace quoll::runtime
