"""edera-falcod: zones visible to Falco."""

__version__ = "0.1.0"
