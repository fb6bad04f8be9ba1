"""How values print: the text that libsinsp 0.25.4 makes of a number, a name, an address or a buffer.

Pure functions from raw libscap values to bytes, without state (what a fd or a thread is called is added in fields/evtargs.py).
Source: userspace/libsinsp/event.cpp, get_param_as_str; value-formats.md section 1. All texts that are made here are safe to print;
texts that come from a zone pass through ``safetext.safe``.

Every function takes any bytes: what is too short, too long or otherwise not of the type reads as "not available", where libsinsp
throws.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter
from mypy_extensions import i64

from . import tables
from .safetext import COMPILED, is_printable, safe
from .schema import FlagTable

NOT_AVAILABLE: Final = b"<NA>"
EMPTY_BUFFER: Final = b"NULL"  # an empty buffer, tuple, fd list or variant, where libsinsp kept its old word
NO_FORM: Final = b"(n.a.)"  # a type that libsinsp's switch does not know

# A legacy null: very old drivers sent this for a string that could not be read (event.h, used_legacy_null_encoding).
LEGACY_NULL: Final = b"(NULL)\0"

SMALL: Final = 4096  # decimals below this are looked up
_DECIMALS: Final[list[bytes]] = [b"%d" % number for number in range(SMALL)]

# Memo dictionaries are emptied when they hold this many texts: values of flags repeat, but a zone may send any.
MAX_MEMO: Final = 4096

# isprint() of the C locale: what is not printable ASCII becomes a dot
_DOTS: Final = bytes([byte if 0x20 <= byte <= 0x7E else 0x2E for byte in range(256)])

_HEX_DIGITS: Final = b"0123456789ABCDEF"
_digits: Final = BytesWriter()  # a hexadecimal number in the making

_MAPPED: Final = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"  # first 12 bytes of ::ffff:0:0/96
_ZERO16: Final = bytes(16)

_DAY: Final = 86_400
_FIRST_COMPLETE_SIGSET: Final = 32  # libsinsp looks at signals 1 to 32 of a set only


@final
class Charbuf:
    """The string parameter that was read last: state and several fields of an event ask for the same one."""

    __slots__ = ("data", "text")

    def __init__(self) -> None:
        self.data = b""
        self.text = NOT_AVAILABLE


_charbuf: Final = Charbuf()

_address4_memo: Final[dict[bytes, bytes]] = {}
_address6_memo: Final[dict[bytes, bytes]] = {}
_day_memo: Final[dict[int, bytes]] = {}


def decimal(number: int) -> bytes:
    """A number in base ten, signed."""
    if 0 <= number < SMALL:
        return _DECIMALS[number]
    return b"%d" % number


def integer(number: int, fmt: int, bits: int) -> bytes:
    """A number by print format (PF_*): hexadecimal upper-case without 0x, octal with a leading 0 (0 itself is ``0``), decimal
    padded to nine digits, else decimal.

    ``number`` is signed, as libsinsp's decimal format takes unsigned parameters for signed ones too; ``bits`` is the width
    that C's printf takes it for in the other bases: 32 for all narrower types, else 64.
    """
    if fmt == tables.PF_HEX:
        return hexadecimal(number if bits == 64 else number & 0xFFFF_FFFF)
    if fmt == tables.PF_OCT:
        if number == 0:
            return b"0"
        return b"0%o" % (number & ((1 << bits) - 1))
    if fmt == tables.PF_10_PADDED_DEC:
        return b"%09d" % number
    return decimal(number)


def hexadecimal(number: int) -> bytes:
    """A number of 64 bits in base sixteen, upper-case; negative ones as two's complement."""
    if COMPILED:
        value = i64(number if number < 1 << 63 else number - (1 << 64))
        out = _digits
        out.truncate(0)
        shift: i64 = 60
        while shift > 0 and value >> shift & 15 == 0:
            shift -= 4
        while shift >= 0:
            out.append(_HEX_DIGITS[value >> shift & 15])
            shift -= 4
        return out.getvalue()
    return b"%X" % (number & 0xFFFF_FFFF_FFFF_FFFF)


def flags(table: FlagTable, value: int) -> bytes:
    """Names of the bits of ``value`` joined by ``|`` in table order; empty if none has a name.

    A name whose value is 0 stands for the value 0 alone; each match clears its bits, so a mask of two bits hides the names of
    its halves; a name that is the whole value ends the search; bits without a name are left out (event.cpp, PT_FLAGS32).
    """
    left = value
    names: list[bytes] = []
    for name, bits in table.entries:
        if bits == 0:
            if value != 0:
                continue
        elif left & bits != bits:
            continue
        left &= ~bits
        names.append(name)
        if bits == value:
            break
    return b"|".join(names)


def enum(table: FlagTable, value: int) -> bytes:
    """All names of exactly this value joined by ``|``: ``AF_LOCAL|AF_UNIX`` (event.cpp, PT_ENUMFLAGS32)."""
    return b"|".join([name for name, number in table.entries if number == value])


def mode(table: FlagTable, value: int) -> bytes:
    """Names of the bits of a file mode, like ``flags``, but an entry that is the whole value ends the search at once and is
    named last, whatever has been cleared before (event.cpp, PT_MODE)."""
    left = value
    names: list[bytes] = []
    for name, bits in table.entries:
        if bits == value:
            names.append(name)
            break
        if bits != 0 and left & bits == bits:
            left &= ~bits
            names.append(name)
    return b"|".join(names)


def errno(number: int) -> bytes:
    """Name of the error that a negative result stands for; empty if it has none. Only the low 32 bits count."""
    code = number & 0xFFFF_FFFF
    code = 0x1_0000_0000 - code
    if 0 < code < len(tables.ERRNO_NAMES):
        return tables.ERRNO_NAMES[code]
    return b""


def signal(number: int) -> bytes:
    """``SIGTERM``; empty for 0 and for real-time signals."""
    if 0 <= number < len(tables.SIGNAL_NAMES):
        return tables.SIGNAL_NAMES[number]
    return b""


def sigset(mask: int) -> bytes:
    """Names of the signals of a set (bit 0 = signal 1) joined by blanks."""
    names: list[bytes] = []
    for bit in range(_FIRST_COMPLETE_SIGSET):
        if mask >> bit & 1:
            name = signal(bit + 1)
            if name:
                names.append(name)
    return b" ".join(names)


def reltime(ns: int) -> bytes:
    """Nanoseconds as seconds with six significant digits, as C's %lg prints them: ``1.5s``, ``1e-06s``."""
    if ns == 0:
        return b"0s"
    return ("%gs" % (ns / 1_000_000_000)).encode()


def abstime(ns: int) -> bytes:
    """Nanoseconds since the epoch as ``2026-11-23 20:44:08.589322204``, in UTC (libsinsp prints the time zone of the machine
    that looks at the event: docs/differences.md)."""
    seconds = ns // 1_000_000_000
    day = seconds // _DAY
    date = _day_memo.get(day)
    if date is None:
        date = _date(day)
        if len(_day_memo) >= MAX_MEMO:
            _day_memo.clear()
        _day_memo[day] = date
    seconds -= day * _DAY
    return b"%s %02d:%02d:%02d.%09d" % (date, seconds // 3600, seconds // 60 % 60, seconds % 60, ns % 1_000_000_000)


def _date(day: int) -> bytes:
    """The civil date ``day`` days after 1970-01-01. Years count from 1 March of a leap cycle's first year, so that the leap day
    is a year's last."""
    shifted = day + 719_468  # days from 0000-03-01 to 1970-01-01
    era = shifted // 146_097  # days in 400 years
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return b"%04d-%02d-%02d" % (year, month, of_year - (153 * shifted_month + 2) // 5 + 1)


def dotted(data: bytes) -> bytes:
    """A buffer as text: printable ASCII as it is, a dot for every other byte. As long as ``data``."""
    if is_printable(data):
        return data
    return data.translate(_DOTS)


def cstring(data: bytes) -> bytes:
    """What C sees of a string: up to the first NUL, all of it if there is none."""
    if COMPILED:
        at: i64 = 0
        size: i64 = len(data)
        while at < size and data[at] != 0:
            at += 1
        return data if at == size else data[:at]
    end = data.find(b"\0")
    return data if end < 0 else data[:end]


def charbuf(data: bytes) -> bytes:
    """A string parameter, unsafe bytes as they came. Empty (not even a NUL) or a legacy null: ``<NA>``."""
    last = _charbuf
    if data is not last.data:
        last.data = data
        last.text = NOT_AVAILABLE if len(data) == 0 or data == LEGACY_NULL else cstring(data)
    return last.text


def address4(raw: bytes) -> bytes:
    """Four bytes in network order as ``10.0.0.1``."""
    text = _address4_memo.get(raw)
    if text is None:
        text = b"%d.%d.%d.%d" % (raw[0], raw[1], raw[2], raw[3])
        if len(_address4_memo) >= MAX_MEMO:
            _address4_memo.clear()
        _address4_memo[raw] = text
    return text


def address6(raw: bytes) -> bytes:
    """Sixteen bytes in network order as glibc's inet_ntop prints them: lower case, the longest run of zero groups (the first of
    equal ones, two groups at least) as ``::``, IPv4 in the tail of ``::ffff:0:0/96`` and ``::/96``."""
    text = _address6_memo.get(raw)
    if text is None:
        text = _inet6(raw)
        if len(_address6_memo) >= MAX_MEMO:
            _address6_memo.clear()
        _address6_memo[raw] = text
    return text


def _inet6(raw: bytes) -> bytes:
    groups: list[int] = [raw[at] << 8 | raw[at + 1] for at in range(0, 16, 2)]
    best = -1
    best_length = 1
    at = 0
    while at < 8:
        if groups[at] != 0:
            at += 1
            continue
        start = at
        while at < 8 and groups[at] == 0:
            at += 1
        if at - start > best_length:
            best = start
            best_length = at - start
    if best == 0 and (best_length == 6 or (best_length == 5 and groups[5] == 0xFFFF)):
        tail = address4(raw[12:])
        return b"::" + tail if best_length == 6 else b"::ffff:" + tail
    if best < 0:
        return b":".join([b"%x" % group for group in groups])
    head = b":".join([b"%x" % group for group in groups[:best]])
    tail = b":".join([b"%x" % group for group in groups[best + best_length :]])
    return head + b"::" + tail


def address(raw: bytes) -> bytes:
    """An address of 4 or 16 bytes; empty if it is neither."""
    if len(raw) == 4:
        return address4(raw)
    if len(raw) == 16:
        return address6(raw)
    return b""


def endpoint(raw: bytes, port: int) -> bytes:
    """``10.0.0.1:80``; IPv6 addresses are not put into brackets."""
    return address(raw) + b":" + decimal(port)


def is_mapped(raw: bytes) -> bool:
    """Whether 16 bytes stand for an IPv4 address: ``::ffff:0:0/96``, and ``::`` too (utils.cpp, is_ipv4_mapped_ipv6)."""
    return raw[:12] == _MAPPED or raw == _ZERO16


def tuple_text(source: bytes, sport: int, dest: bytes, dport: int) -> bytes:
    """``10.0.0.1:1024->10.0.0.2:80``; two IPv6 addresses that both stand for IPv4 ones print as those."""
    if len(source) == 16 and is_mapped(source) and is_mapped(dest):
        source = source[12:]
        dest = dest[12:]
    return endpoint(source, sport) + b"->" + endpoint(dest, dport)


def unix_tuple_text(source: int, dest: int, path: bytes) -> bytes:
    """``ffff888004a01b00->ffff888004a01f80 /run/x.sock``: kernel addresses of both ends, then the path if any (a blank always)."""
    return b"%x->%x %s" % (source, dest, safe(path))


def sockaddr(data: bytes) -> bytes:
    """A PT_SOCKADDR: ``ip:port``, a unix path, or ``family N``. ``INVALID IPv4`` when its length is not that of its family."""
    if not data:
        return NOT_AVAILABLE
    family = data[0]
    if family == tables.PPM_AF_INET:
        if len(data) != 7:
            return b"INVALID IPv4"
        return endpoint(data[1:5], data[5] | data[6] << 8)
    if family == tables.PPM_AF_INET6:
        if len(data) != 19:
            return b"INVALID IPv6"
        return endpoint(data[1:17], data[17] | data[18] << 8)
    if family == tables.PPM_AF_UNIX:
        return safe(cstring(data[1:]))
    return b"family " + decimal(family)


def socktuple(data: bytes) -> bytes:
    """A PT_SOCKTUPLE: ``sip:sport->dip:dport``, ``src->dst path`` for unix sockets, or ``family N``."""
    if not data:
        return EMPTY_BUFFER
    family = data[0]
    if family == tables.PPM_AF_INET:
        if len(data) != 13:
            return b"INVALID IPv4"
        return tuple_text(data[1:5], data[5] | data[6] << 8, data[7:11], data[11] | data[12] << 8)
    if family == tables.PPM_AF_INET6:
        if len(data) != 37:
            return b"INVALID IPv6"
        return tuple_text(data[1:17], data[17] | data[18] << 8, data[19:35], data[35] | data[36] << 8)
    if family == tables.PPM_AF_UNIX:
        if len(data) < 17:
            return NOT_AVAILABLE  # libsinsp would read beyond its end
        source = int.from_bytes(data[1:9], "little")
        dest = int.from_bytes(data[9:17], "little")
        return unix_tuple_text(source, dest, cstring(data[17:]))
    return b"family " + decimal(family)


def fdlist(data: bytes) -> list[tuple[int, int]]:
    """The (fd, poll flags) pairs of a PT_FDLIST: u16 count, then i64 and i16 each. What the length does not hold is left out."""
    if len(data) < 2:
        return []
    count = data[0] | data[1] << 8
    pairs: list[tuple[int, int]] = []
    at = 2
    end = len(data) - 10
    while count > 0 and at <= end:
        fd = int.from_bytes(data[at : at + 8], "little", signed=True)
        bits = int.from_bytes(data[at + 8 : at + 10], "little", signed=True)
        pairs.append((fd, bits))
        at += 10
        count -= 1
    return pairs


def fdlist_entry(fd: int, char: bytes, bits: int) -> bytes:
    """``3:f1``: fd (as unsigned), type character, poll flags in hexadecimal (a negative i16 as C extends it to 32 bits)."""
    return b"%d:%s%x" % (fd & 0xFFFF_FFFF_FFFF_FFFF, char, bits & 0xFFFF_FFFF)


def syscall(number: int) -> bytes:
    """Name of a PPM_SC code; empty if there is none."""
    if 0 <= number < len(tables.SYSCALL_NAMES):
        return tables.SYSCALL_NAMES[number]
    return b""
