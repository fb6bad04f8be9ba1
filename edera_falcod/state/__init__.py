"""What a zone looks like: threads, groups, files, brought up to each event. Importing the package registers all parsers."""

from . import files, identity, messages, process, resources, sockets

__all__ = ["files", "identity", "messages", "process", "resources", "sockets"]
