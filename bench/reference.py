"""The unit of all ratios: Google's protobuf (upb, in C) parses the same messages and reads the same fields."""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, final

from .corpus import ROOT


@final
class Reference:
    """The generated classes of proto/control.proto. ``kind``: which implementation google.protobuf uses; only upb is a fair one."""

    def __init__(self) -> None:
        import grpc_tools
        from google.protobuf.internal import api_implementation
        from grpc_tools import protoc

        self.kind: str = api_implementation.Type()
        with tempfile.TemporaryDirectory(prefix="falcod-bench-") as folder:
            wellknown = Path(grpc_tools.__file__).parent / "_proto"
            options = [f"-I{ROOT / 'proto'}", f"-I{wellknown}", f"--python_out={folder}", "control.proto"]
            if protoc.main(["protoc", *options]) != 0:
                raise RuntimeError("protoc could not read proto/control.proto")
            sys.path.insert(0, folder)
            try:
                module: Any = importlib.import_module("control_pb2")
            finally:
                sys.path.remove(folder)
        self._parse: Any = module.MonitorZoneKernelEventReply.FromString

    def run(self, messages: list[bytes]) -> float:
        """CPU seconds to parse all and read what our decoder reads: time, thread, CPU, code and each parameter's bytes."""
        parse = self._parse
        began = time.process_time()
        for message in messages:
            event = parse(message).syscall
            event.timestamp, event.thread_id, event.cpuid, event.event_type  # noqa: B018
            for param in event.event_params:
                param.param_data  # noqa: B018
        return time.process_time() - began
