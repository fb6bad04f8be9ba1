"""Threads and open files of a snapshot (ZoneKernelThreadSnapshotEvent), read one thread at a time.

A snapshot of a busy zone has megabytes: whoever imports it takes some threads, lets others run, and comes back. Field numbers are
those of edera-control-protocol.md section 11.
"""

from __future__ import annotations

from typing import Final, final

from .addresses import parse_address
from .errors import TOO_MANY_FIELDS, TRUNCATED, WireError
from .protobuf import BYTES, MASK32, VARINT_TYPE, length, signed, signed32, skip, tag, varint
from .snapshot import SnapshotFd, SnapshotThread
from .tables import (
    SCAP_FD_IPV4_SERVSOCK,
    SCAP_FD_IPV4_SOCK,
    SCAP_FD_IPV6_SERVSOCK,
    SCAP_FD_IPV6_SOCK,
    SCAP_FD_PIDFD,
    SCAP_FD_UNSUPPORTED,
    SCAP_L4_RAW,
    SCAP_L4_UNKNOWN,
)

MAX_THREADS: Final = 262_144  # libsinsp's limit of the thread table (state-machine.md section 6)
MAX_FDS: Final = 4096  # of one thread; libsinsp's limit of an fd table (section 5)
MAX_OTHERS: Final = 1024  # outermost fields that are no thread: a zone's id and its boot time, and what newer zones may add
EAGER: Final = 1024  # outermost fields that the constructor looks at: all there are of most snapshots, in a millisecond or two interpreted
MAX_COMM: Final = 64  # the kernel's has 16 bytes, threads of the kernel may show more
MAX_PATH: Final = 4096  # PATH_MAX of Linux; libscap cuts at 1024
MAX_STRINGS: Final = 128 << 10  # arguments, environment, cgroups; libscap cuts at 4096, Linux allows one string of 128 KiB


@final
class SnapshotReader:
    """Reads the snapshot in ``buf[start:end]``, which it keeps. The constructor looks at the outermost fields alone (zone_boot_epoch
    may stand behind the threads), of a large snapshot at the first ``EAGER`` of them; the rest is looked at by ``scan``, at the latest
    when the first thread is read. All raise ``WireError`` for what is malformed; nothing can be read after that.

    ``boot_epoch``: ns since the epoch. ``total``: entries of the thread map. Counters of what was left out: ``dropped_threads`` and
    ``dropped_fds`` beyond the limits, ``cut_texts`` shortened to them, ``bad_addresses`` that are no addresses (read as zero).
    Should a zone send an entry twice, both are returned, the one that counts last.
    """

    __slots__ = (
        "boot_epoch", "total", "dropped_fds", "cut_texts", "bad_addresses", "_others", "_scanned",
        "_buf", "_at", "_end", "_taken", "_has_tid", "_has_fd", "_info", "_outer_flags",
    )  # fmt: skip

    def __init__(self, buf: bytes, start: int, end: int) -> None:
        if start < 0 or end < start or end > len(buf):
            raise WireError(TRUNCATED)
        self.boot_epoch = 0
        self.total = 0
        self.dropped_fds = 0
        self.cut_texts = 0
        self.bad_addresses = 0
        self._buf = buf
        self._at = start
        self._end = end
        self._taken = 0
        self._has_tid = False  # of the thread being read
        self._has_fd = False  # of the file being read
        self._info = 0  # which member of its info_type was set last
        self._outer_flags = 0  # its open_flags outside of info
        self._others = 0
        self._scanned = start
        self.scan(EAGER)

    @property
    def dropped_threads(self) -> int:
        return max(0, self.total - MAX_THREADS)

    def scan(self, count: int) -> bool:
        """Look at ``count`` more of the outermost fields; True when all have been looked at."""
        buf = self._buf
        end = self._end
        i = self._scanned
        while i < end and count > 0:
            field, i = tag(buf, i, end)
            count -= 1
            if field == 0x0A:  # 1 thread_info
                self.total += 1
                i = skip(buf, i, end, field)
                continue
            self._others += 1
            if self._others > MAX_OTHERS:
                raise WireError(TOO_MANY_FIELDS)
            if field == 0x18:  # 3 zone_boot_epoch
                self.boot_epoch, i = varint(buf, i, end)
            else:
                i = skip(buf, i, end, field)
        self._scanned = i
        return i >= end

    def next_thread(self) -> SnapshotThread | None:
        """The next thread in the order of the message, None after the last."""
        if self._scanned < self._end:
            self.scan(self._end)
        buf = self._buf
        i = self._at
        end = self._end
        while i < end and self._taken < MAX_THREADS:
            field, i = tag(buf, i, end)
            if field == 0x0A:
                size, i = length(buf, i, end)
                self._at = i + size
                self._taken += 1
                return self._thread_entry(i, i + size)
            i = skip(buf, i, end, field)
        self._at = end
        return None

    def _thread_entry(self, i: int, end: int) -> SnapshotThread:
        """An entry of thread_info: 1 key, 2 value."""
        buf = self._buf
        key = 0
        self._has_tid = False
        thread = SnapshotThread(0)
        thread.sid = 0  # absent means 0 but for the optional ones
        thread.vpgid = 0
        thread.pgid = 0
        while i < end:
            field, i = tag(buf, i, end)
            if field == 0x08:
                key, i = varint(buf, i, end)
            elif field == 0x12:
                size, i = length(buf, i, end)
                self._thread(thread, i, i + size)
                i += size
            else:
                i = skip(buf, i, end, field)
        if not self._has_tid:
            thread.tid = signed(key)
        return thread

    def _thread(self, thread: SnapshotThread, i: int, end: int) -> None:
        """ZoneKernelThreadInfo, merged into ``thread``."""
        buf = self._buf
        while i < end:
            field, i = tag(buf, i, end)
            kind = field & 7
            if kind == VARINT_TYPE:
                value, i = varint(buf, i, end)
                self._thread_number(thread, field >> 3, value)
            elif kind == BYTES:
                size, i = length(buf, i, end)
                number = field >> 3
                if number == 40:  # fdlist
                    if len(thread.fds) < MAX_FDS:
                        thread.fds.append(self._fd_entry(i, i + size))
                    else:
                        self.dropped_fds += 1
                else:
                    self._thread_text(thread, number, i, size)
                i += size
            else:
                i = skip(buf, i, end, field)

    def _thread_text(self, thread: SnapshotThread, number: int, i: int, size: int) -> None:
        if number == 7:
            thread.comm = self._text(i, size, MAX_COMM)
        elif number == 8:
            thread.exe = self._text(i, size, MAX_PATH)
        elif number == 9:
            thread.exepath = self._text(i, size, MAX_PATH)
        elif number == 14:
            thread.args = self._text(i, size, MAX_STRINGS)
        elif number == 15:
            thread.env = self._text(i, size, MAX_STRINGS)
        elif number == 16:
            thread.cwd = self._text(i, size, MAX_PATH)
        elif number == 37:
            thread.cgroups = self._text(i, size, MAX_STRINGS)
        elif number == 38:
            thread.root = self._text(i, size, MAX_PATH)

    def _text(self, i: int, size: int, limit: int) -> bytes:
        if size > limit:
            self.cut_texts += 1
            size = limit
        return self._buf[i : i + size]

    def _thread_number(self, thread: SnapshotThread, number: int, value: int) -> None:
        if number < 18:
            if number == 1:
                thread.tid = signed(value)
                self._has_tid = True
            elif number == 2:
                thread.pid = signed(value)
            elif number == 3:
                thread.ptid = signed(value)
            elif number == 4:
                thread.sid = signed(value)
            elif number == 5:
                thread.vpgid = signed(value)
            elif number == 6:
                thread.pgid = signed(value)
            elif number == 10:
                thread.exe_writable = value != 0
            elif number == 11:
                thread.exe_upper_layer = value != 0
            elif number == 12:
                thread.exe_lower_layer = value != 0
            elif number == 13:
                thread.exe_from_memfd = value != 0
            elif number == 17:
                thread.fdlimit = signed(value)
        elif number < 32:
            if number == 18:
                thread.flags = value & MASK32
            elif number == 19:
                thread.uid = value & MASK32
            elif number == 20:
                thread.gid = value & MASK32
            elif number == 21:
                thread.cap_permitted = value
            elif number == 22:
                thread.cap_effective = value
            elif number == 23:
                thread.cap_inheritable = value
            elif number == 24:
                thread.exe_ino = value
            elif number == 25:
                thread.exe_ino_ctime = value
            elif number == 26:
                thread.exe_ino_mtime = value
            elif number == 27:
                thread.exe_ino_ctime_duration_clone_ts = value
            elif number == 28:
                thread.exe_ino_ctime_duration_pidns_start = value
            elif number == 29:
                thread.vmsize_kb = value & MASK32
            elif number == 30:
                thread.vmrss_kb = value & MASK32
            else:  # 31
                thread.vmswap_kb = value & MASK32
        elif number == 32:
            thread.pfmajor = value
        elif number == 33:
            thread.pfminor = value
        elif number == 34:
            thread.vtid = signed(value)
        elif number == 35:
            thread.vpid = signed(value)
        elif number == 36:
            thread.pidns_init_start_ts = value
        elif number == 39:
            thread.filtered_out = value != 0
        elif number == 41:
            thread.clone_ts = value
        elif number == 42:
            thread.tty = value & MASK32
        elif number == 43:
            thread.loginuid = value & MASK32
        elif number == 44:
            thread.lastexec_ts = value
        elif number == 45:
            thread.reaper = value != 0

    def _fd_entry(self, i: int, end: int) -> SnapshotFd:
        """An entry of fdlist: 1 key, 2 value."""
        buf = self._buf
        key = 0
        self._has_fd = False
        self._info = 0
        self._outer_flags = 0
        fd = SnapshotFd(0)
        while i < end:
            field, i = tag(buf, i, end)
            if field == 0x08:
                key, i = varint(buf, i, end)
            elif field == 0x12:
                size, i = length(buf, i, end)
                self._fd(fd, i, i + size)
                i += size
            else:
                i = skip(buf, i, end, field)
        if not self._has_fd:
            fd.fd = signed(key)
        self._complete(fd)
        return fd

    def _complete(self, fd: SnapshotFd) -> None:
        """What holds for every file that leaves this module: a known kind, addresses of the kind's width."""
        if fd.open_flags == 0:
            fd.open_flags = self._outer_flags
        if fd.kind < 0 or fd.kind > SCAP_FD_PIDFD:  # as libscap reads files of newer versions
            fd.name = b"unknown-type:[%d]" % fd.kind
            fd.kind = SCAP_FD_UNSUPPORTED
        if fd.l4proto < 0 or fd.l4proto > SCAP_L4_RAW:
            fd.l4proto = SCAP_L4_UNKNOWN
        sip = 0
        dip = 0
        if fd.kind == SCAP_FD_IPV4_SOCK:
            sip = 4
            dip = 4
        elif fd.kind == SCAP_FD_IPV6_SOCK:
            sip = 16
            dip = 16
        elif fd.kind == SCAP_FD_IPV4_SERVSOCK:
            dip = 4
        elif fd.kind == SCAP_FD_IPV6_SERVSOCK:
            dip = 16
        if len(fd.sip) != sip:
            fd.sip = bytes(sip)
        if len(fd.dip) != dip:
            fd.dip = bytes(dip)

    def _fd(self, fd: SnapshotFd, i: int, end: int) -> None:
        """ZoneKernelFdInfo, merged into ``fd``."""
        buf = self._buf
        while i < end:
            field, i = tag(buf, i, end)
            if field == 0x22:  # 4 info
                size, i = length(buf, i, end)
                self._fd_info(fd, i, i + size)
                i += size
            elif field & 7 == VARINT_TYPE:
                value, i = varint(buf, i, end)
                number = field >> 3
                if number == 1:
                    fd.fd = signed(value)
                    self._has_fd = True
                elif number == 2:
                    fd.ino = value
                elif number == 3:
                    fd.kind = signed32(value)
                elif number == 5:
                    self._outer_flags = value & MASK32
                elif number == 6:
                    fd.state_flags = value & MASK32
            else:
                i = skip(buf, i, end, field)

    def _fd_info(self, fd: SnapshotFd, i: int, end: int) -> None:
        """ZoneKernelFdInfoData: a oneof, whose last member counts and merges with one of its kind."""
        buf = self._buf
        while i < end:
            field, i = tag(buf, i, end)
            number = field >> 3
            if field & 7 != BYTES or number > 8:
                i = skip(buf, i, end, field)
                continue
            size, i = length(buf, i, end)
            if number != self._info:
                self._info = number
                fd.sip = b""
                fd.dip = b""
                fd.sport = 0
                fd.dport = 0
                fd.l4proto = 0
                fd.source = 0
                fd.dest = 0
                fd.name = b""
                fd.open_flags = 0
                fd.mount_id = 0
                fd.dev = 0
                fd.pid = 0 if number == 8 else -1
            if number == 1:
                self._socket(fd, i, i + size, 4)
            elif number == 2:
                self._socket(fd, i, i + size, 16)
            elif number == 3:
                self._server_socket(fd, i, i + size, 4)
            elif number == 4:
                self._server_socket(fd, i, i + size, 16)
            elif number == 7:
                fd.name = self._text(i, size, MAX_PATH)
            else:
                self._other_info(fd, number, i, i + size)
            i += size

    def _address(self, i: int, size: int, width: int) -> bytes:
        packed = parse_address(self._buf[i : i + size], width)
        if not packed and size > 0:
            self.bad_addresses += 1
        return packed

    def _socket(self, fd: SnapshotFd, i: int, end: int, width: int) -> None:
        """ZoneKernelIpv4SocketInfo and ZoneKernelIpv6SocketInfo."""
        buf = self._buf
        while i < end:
            field, i = tag(buf, i, end)
            if field == 0x0A:
                size, i = length(buf, i, end)
                fd.sip = self._address(i, size, width)
                i += size
            elif field == 0x12:
                size, i = length(buf, i, end)
                fd.dip = self._address(i, size, width)
                i += size
            elif field == 0x18:
                value, i = varint(buf, i, end)
                fd.sport = value & 0xFFFF
            elif field == 0x20:
                value, i = varint(buf, i, end)
                fd.dport = value & 0xFFFF
            elif field == 0x28:
                value, i = varint(buf, i, end)
                fd.l4proto = signed32(value)
            else:
                i = skip(buf, i, end, field)

    def _server_socket(self, fd: SnapshotFd, i: int, end: int, width: int) -> None:
        """ZoneKernelIpv4ServerSocketInfo and ZoneKernelIpv6ServerSocketInfo."""
        buf = self._buf
        while i < end:
            field, i = tag(buf, i, end)
            if field == 0x0A:
                size, i = length(buf, i, end)
                fd.dip = self._address(i, size, width)
                i += size
            elif field == 0x10:
                value, i = varint(buf, i, end)
                fd.dport = value & 0xFFFF
            elif field == 0x18:
                value, i = varint(buf, i, end)
                fd.l4proto = signed32(value)
            else:
                i = skip(buf, i, end, field)

    def _other_info(self, fd: SnapshotFd, number: int, i: int, end: int) -> None:
        """5 ZoneKernelUnixSocketInfo, 6 ZoneKernelRegularFileInfo, 8 ZoneKernelPidFd."""
        buf = self._buf
        while i < end:
            field, i = tag(buf, i, end)
            if field & 7 == VARINT_TYPE:
                value, i = varint(buf, i, end)
                inner = field >> 3
                if number == 5:
                    if inner == 1:
                        fd.source = value
                    elif inner == 2:
                        fd.dest = value
                elif number == 6:
                    if inner == 1:
                        fd.open_flags = value & MASK32
                    elif inner == 3:
                        fd.mount_id = value & MASK32
                    elif inner == 4:
                        fd.dev = value & MASK32
                elif number == 8 and inner == 1:
                    fd.pid = signed(value)
            elif (number == 5 and field == 0x1A) or (number == 6 and field == 0x12):
                size, i = length(buf, i, end)
                fd.name = self._text(i, size, MAX_PATH)
                i += size
            else:
                i = skip(buf, i, end, field)
