"""user.*, group.*: names of ids. A zone sends no user list; what its own useradded and groupadded events told is all there is,
else libsinsp's fallback.

Source: userspace/libsinsp/sinsp_filtercheck_user.cpp, sinsp_filtercheck_group.cpp.
"""

from __future__ import annotations

from typing import Final

from ..scap.safetext import safe
from ..state.zone import ZoneState

NOT_KNOWN: Final = b"<NA>"
_ROOT: Final = (b"root", b"/root", NOT_KNOWN)
_OTHER: Final = (NOT_KNOWN, NOT_KNOWN, NOT_KNOWN)


def user_facts(zone: ZoneState, uid: int) -> tuple[bytes, bytes, bytes]:
    """Name, home directory and shell of a user."""
    user = zone.users.users.get(uid)
    if user is not None:
        return safe(user.name), safe(user.home), safe(user.shell)
    return _ROOT if uid == 0 else _OTHER


def group_name(zone: ZoneState, gid: int) -> bytes:
    name = zone.users.groups.get(gid)
    if name is not None:
        return safe(name)
    return b"root" if gid == 0 else NOT_KNOWN
