"""edera-falcod: zones visible to Falco."""

from ._pure import install

__version__ = "0.1.0"

install()
