"""Generated message classes of the daemon's own ctl service (proto/ctl.proto)."""
