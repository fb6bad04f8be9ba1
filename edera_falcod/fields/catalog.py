"""The registry: every field that a rule may name, and where its value lies.

``layout.CELLS`` numbers what blocks hold, ``FIELDS`` declares the fields over it. Both are append-only once released: a cell's place in
its list is its slot, a field's place is its id, and registry.lock (generated, checked) keeps the declarations that daemon and shim
agree on. Everything else that has to know fields is made from here: slots.py, the shim's header, docs/fields.md.

New fields go to the end of ``FIELDS``, not into the lists below, whose order counts.

Names, types and meaning are libsinsp's (0.25.4) where it has the field, the container plugin's where that has it. What differs by
what a plugin field can be: a signed number is served as text (``Type.SIGNED``) and has a companion ``NAME.unsigned``, a fraction
as the whole number below it, bytes as text with dots, and ``evt.arg.NAME`` and the like are fields of their own, since a plugin
field's argument is only ever in brackets.
"""

from __future__ import annotations

from typing import Final

from .catalog_evt import event_type_fields, evt_fields, parameter_fields, path_fields
from .catalog_fd import fd_fields
from .catalog_proc import proc_fields, user_fields
from .catalog_zone import edera_fields, workload_fields
from .spec import Field

FIELDS: Final[tuple[Field, ...]] = (
    *evt_fields(), *proc_fields(), *user_fields(), *fd_fields(), *path_fields(), *workload_fields(), *edera_fields(),
    *parameter_fields(), *event_type_fields(),
)  # fmt: skip
"""Every field. A field's place is its id, in this daemon and in every shim whose registry begins like this one."""
