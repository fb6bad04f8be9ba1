"""Fields of the file or socket that an event is about: fd.*."""

from __future__ import annotations

from .declare import IP, NET, B, I, S, U, bit_field, cell_field, field_at, no_field, unsigned_field
from .spec import Arg, Field, Kind, Op


def fd_fields() -> list[Field]:
    num = cell_field("fd.num", I, "Number of the file that the event is about, negative if there is none.")
    either = "A list with both ends. For = or != use {0} and {1}: a list has only in (all of them), intersects (any) and exists."
    filter_only = "has a value here; in libsinsp it can only be compared"
    fields = [
        num,
        unsigned_field(num),
        cell_field(
            "fd.type",
            S,
            "file, directory, ipv4, ipv6, unix, pipe, event, signalfd, eventpoll, inotify, timerfd, netlink, bpf, userfaultfd, "
            "io_uring, memfd or pidfd.",
        ),
        field_at(
            "fd.typechar",
            S,
            "Type as one character: f file, d directory, 4 IPv4, 6 IPv6, u unix or userfaultfd, p pipe, e event, s signalfd, l eventpoll, "
            "i inotify, t timerfd, n netlink, b bpf, r io_uring, m memfd, P pidfd, o unknown.",
            Op.OVERRIDE,
            "FD_TYPECHAR",
            "FD_TYPECHAR_EVENT",
        ),
        field_at(
            "fd.name",
            S,
            "Full path of a file, client:port->server:port of a socket, or what else the file is called.",
            Op.OVERRIDE,
            "FD_NAME",
            "FD_NAME_EVENT",
        ),
        field_at("fd.directory", S, "Directory of a file.", Op.OVERRIDE, "FD_DIRECTORY", "FD_DIRECTORY_EVENT"),
        cell_field("fd.filename", S, "Name of a file without its directory."),
        field_at(
            "fd.ip",
            IP,
            f"Client and server address. {either.format('fd.ip.source', 'fd.ip.dest')}",
            Op.ENDS,
            "FD_IP_SOURCE",
            "FD_IP_DEST",
            is_list=True,
            note=filter_only,
        ),
        cell_field("fd.cip", IP, "Client address."),
        cell_field("fd.sip", IP, "Server address; a listening socket's own."),
        cell_field("fd.lip", IP, "Local address: the client's if the zone has it, else the server's."),
        cell_field("fd.rip", IP, "Remote address: the other end of fd.lip."),
        field_at(
            "fd.port",
            U,
            f"Client and server port. {either.format('fd.port.source', 'fd.port.dest')}",
            Op.ENDS,
            "FD_PORT_SOURCE",
            "FD_PORT_DEST",
            is_list=True,
            note=filter_only,
        ),
        cell_field("fd.cport", U, "Client port."),
        cell_field("fd.sport", U, "Server port; a listening socket's own."),
        cell_field("fd.lport", U, "Local port."),
        cell_field("fd.rport", U, "Remote port."),
        cell_field("fd.l4proto", S, "tcp, udp, icmp or raw; <NA> if not known or not a socket."),
        cell_field("fd.sockfamily", S, "ip or unix, of a socket."),
        cell_field("fd.is_server", B, "Whether the socket listens, or its server address is the zone's own."),
        field_at("fd.uid", S, "Thread id directly followed by the file's number.", Op.WITHTID, "FD_NUM"),
        field_at("fd.containername", S, "Container id, a colon, and fd.name.", Op.PREFIXED, "FD_NAME", "FD_NAME_EVENT"),
        field_at("fd.containerdirectory", S, "Container id, a colon, and fd.directory.", Op.PREFIXED, "FD_DIRECTORY", "FD_DIRECTORY_EVENT"),
        field_at(
            "fd.proto",
            S,
            f"Client and server port as text. {either.format('fd.port.source', 'fd.port.dest')}",
            Op.ENDS,
            "FD_PROTO_SOURCE",
            "FD_PROTO_DEST",
            is_list=True,
            note=filter_only,
        ),
        cell_field("fd.cproto", S, "Client port as text."),
        cell_field("fd.sproto", S, "Server port as text."),
        cell_field("fd.lproto", S, "Local port as text."),
        cell_field("fd.rproto", S, "Remote port as text."),
        field_at(
            "fd.net",
            NET,
            f"Client and server address, for networks. {either.format('fd.net.source', 'fd.net.dest')}",
            Op.ENDS,
            "FD_IP_SOURCE",
            "FD_IP_DEST",
            is_list=True,
            note=filter_only,
        ),
        cell_field("fd.cnet", NET, "Client address, for networks.", "FD_CIP"),
        cell_field("fd.snet", NET, "Server address, for networks.", "FD_SIP"),
        cell_field("fd.lnet", NET, "Local address, for networks.", "FD_LIP"),
        cell_field("fd.rnet", NET, "Remote address, for networks.", "FD_RIP"),
        cell_field("fd.connected", B, "Whether the socket is connected."),
        bit_field(
            "fd.name_changed",
            B,
            "Whether the event changed the file's name, as the first packet of a UDP socket does.",
            "NAME_CHANGED",
            Kind.FD,
        ),
    ]
    for side, what in (("c", "client"), ("s", "server"), ("l", "local"), ("r", "remote")):
        fields.append(
            no_field(
                f"fd.{side}ip.name",
                S,
                f"Domain name of the {what} address.",
                hidden=False,
                note="no value: it is a look-up of the reading machine's",
            )
        )
    fields += [
        cell_field("fd.dev", U, "Device that holds the file.", note="prints decimal; libsinsp prints hexadecimal"),
        cell_field("fd.dev.major", U, "Major number of fd.dev."),
        cell_field("fd.dev.minor", U, "Minor number of fd.dev."),
        cell_field("fd.ino", U, "Inode of the file."),
        field_at("fd.nameraw", S, "Path as the program gave it, repeated slashes removed.", Op.OVERRIDE, "FD_NAMERAW", "FD_NAMERAW_EVENT"),
        field_at(
            "fd.types",
            S,
            "Types of all open files of the process, each once; fd.types[n] is that of file n alone.",
            Op.FDTYPE,
            "FD_TYPES",
            "FD_TYPE_TABLE",
            Arg.INDEX,
            is_list=True,
            note="fd.types[n] for n below 32",
        ),
        cell_field("fd.is_upper_layer", B, "Whether the file is in an overlay's upper layer."),
        cell_field("fd.is_lower_layer", B, "Whether the file is in an overlay's lower layer."),
    ]
    for end, what in (
        ("source", "First end of fd.{0}: the client's once roles are known; a listening socket's own."),
        ("dest", "Second end of fd.{0}: the server's once roles are known; a listening socket's own."),
    ):
        upper = end.upper()
        fields += [
            cell_field(f"fd.ip.{end}", IP, what.format("ip"), note="not in libsinsp"),
            cell_field(f"fd.net.{end}", NET, what.format("net"), f"FD_IP_{upper}", note="not in libsinsp"),
            cell_field(f"fd.port.{end}", U, what.format("port"), note="not in libsinsp"),
            cell_field(f"fd.proto.{end}", S, what.format("proto"), note="not in libsinsp"),
        ]
    return fields
