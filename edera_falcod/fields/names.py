"""Names that field declarations number: parameters, event types, control groups.

Each list is append-only: a name's place travels between daemon and shim (docs/protocol.md). Lists that begin with the tables'
names in the tables' order; tests/fields/test_catalog.py holds them against scap/tables.py, so a new name cannot be forgotten.
"""

from __future__ import annotations

from typing import Final

ARG_NAMES: Final[tuple[str, ...]] = tuple(
    """
    ID action addr arg arg2 arg2_int arg2_str arg3 arg4 arg5 args argument argv aux backlog cap_effective cap_inheritable
    cap_permitted cgroups clockid cmd comm container_id core cpu cpu_sys cpu_usr cq_entries creat_flags cur cwd data desc
    description dev dir dirfd domain dpid dqb_bhardlimit dqb_bsoftlimit dqb_btime dqb_curspace dqb_ihardlimit dqb_isoftlimit
    dqb_itime dqi_bgrace dqi_flags dqi_igrace egid entries env error euid event_data event_type exe exe_ino exe_ino_ctime
    exe_ino_mtime exe_ino_num exepath fd fd1 fd2 fd_in fd_out fd_type fdin fdlimit fdout fds features filename first flags gid home
    how id image img in_fd initval ino ino_num interval ip json key last len length level linkdirfd linkpath local_ip local_port
    loginuid mask max maxevents min_complete mnt_id mode mountfd msgcontrol name nativeID newcur newdir newdirfd newfd newmax
    newpath next nr_args nsems nsops nstype offin offout offset oldcur olddir olddirfd oldfd oldmax oldpath op opcode operation
    option optlen optname out_fd path pathname peer pgft_maj pgft_min pgid pgoffset pid pid_fd pidns_init_start_ts plugin_id pos
    ppid prot proto ptid queuelen queuemax queuepct quota_fmt quota_fmt_out quotafilepath ratio reaper_tid remote_ip remote_port
    request res res_or_fd resolve resource ret rgid root ruid scope sem_flg_0 sem_flg_1 sem_num_0 sem_num_1 sem_op_0 sem_op_1 semflg
    semid semnum sgid shell sid sig sigmask size sk_pointer sk_proto sk_type source special spid sq_entries sq_thread_cpu
    sq_thread_idle start_time status suid sun_path tags target target_fd tid timeout to_submit trusted_exepath tty tuple type uargs
    uid val value_bytebuf value_charbuf vm_rss vm_size vm_swap vpgid vpid vtgid vtid whence
    """.split()
)
"""Every parameter name of every event type, as in evt.arg.NAME and evt.rawarg.NAME."""

EVENT_NAMES: Final[tuple[str, ...]] = tuple(
    """
    syscall open close read write brk execve clone procexit socket bind connect listen accept send sendto recv recvfrom shutdown
    getsockname getpeername socketpair setsockopt getsockopt sendmsg sendmmsg recvmsg recvmmsg creat pipe eventfd futex stat lstat
    fstat stat64 lstat64 fstat64 epoll_wait poll select lseek llseek ioctl getcwd chdir fchdir mkdir rmdir openat link linkat unlink
    unlinkat pread pwrite readv writev preadv pwritev dup signalfd kill tkill tgkill nanosleep timerfd_create inotify_init getrlimit
    setrlimit prlimit switch drop fcntl mmap mmap2 munmap splice ptrace rename renameat symlink symlinkat fork vfork sendfile
    quotactl setresuid setresgid scapevent setuid setgid getuid geteuid getgid getegid getresuid getresgid container signaldeliver
    procinfo getdents getdents64 setns flock cpu_hotplug semop semctl ppoll mount umount k8s semget access chroot tracer mesos
    setsid notification unshare infra page_fault setpgid bpf seccomp mkdirat fchmodat chmod fchmod renameat2 userfaultfd pluginevent
    openat2 mprotect execveat copy_file_range clone3 open_by_handle_at io_uring_setup io_uring_enter io_uring_register mlock munlock
    mlockall munlockall capset useradded userdeleted groupadded groupdeleted dup2 dup3 mlock2 fsconfig epoll_create epoll_create1
    chown lchown fchown fchownat accept4 umount2 pipe2 inotify_init1 eventfd2 signalfd4 prctl asyncevent memfd_create pidfd_getfd
    pidfd_open init_module finit_module mknod mknodat newfstatat process_vm_readv process_vm_writev delete_module setreuid setregid
    task task_file_pipe task_file_memfd task_file_regular task_file_directory task_file_socket_inet task_file_socket_inet6
    task_file_socket_unix task_file_socket_netlink task_file_anon_inode close_range keyctl
    """.split()
)
"""Every name of an event type, as in evt.type.is.NAME; a generic event is "syscall"."""

CGROUPS: Final[tuple[str, ...]] = tuple(
    """
    cpuset cpu cpuacct blkio memory devices freezer net_cls perf_event net_prio hugetlb pids rdma misc systemd
    """.split()
)
"""Control group subsystems as libsinsp names them, as in thread.cgroup.NAME: cgroups(7), and systemd's own hierarchy."""

FD_TYPES: Final[tuple[str, ...]] = tuple(
    """
    <NA> <NA> file directory ipv4 ipv6 ipv4 ipv6 pipe unix event <NA> signalfd eventpoll inotify timerfd netlink file bpf userfaultfd
    io_uring memfd pidfd
    """.split()
)
"""fd.type by ``scap_fd_type`` + 1. Source: sinsp_fdinfo::get_typestring."""
