"""The fresh interpreter's first code: compiled modules from a pipe in, the running agent out; see ``launch``."""

import marshal
import os
import sys

MYPY = False
if MYPY:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import BinaryIO
else:
    ModuleSpec = type(sys.__spec__)  # without importing importlib


class Compiled:
    """Imports modules from ``{file in the archive: marshalled code}``."""

    def __init__(self, codes: "dict[str, bytes]") -> "None":
        self._codes = codes

    def find_spec(self, name: "str", path: "object" = None, target: "object" = None) -> "ModuleSpec | None":
        """For the import system: the module if it is one of ours."""
        base = name.replace(".", "/")
        for origin in (base + ".py", base + "/__init__.py"):
            if origin in self._codes:
                return ModuleSpec(name, self, origin=origin, is_package=origin.endswith("__init__.py"))  # type: ignore[arg-type]  # a loader by its methods
        return None

    def create_module(self, spec: "ModuleSpec") -> "None":
        """For the import system: an ordinary module will do."""

    def exec_module(self, module: "ModuleType") -> "None":
        """For the import system: run the module; its code is needed only once."""
        code = self._codes.pop(str(module.__spec__ and module.__spec__.origin))
        exec(marshal.loads(code), module.__dict__)  # noqa: S102, S302 - our own archive's


def run(stream: "BinaryIO", child: "int", arguments: "list[str]") -> "int":
    """Run the agent with the modules of ``stream``, written by process ``child``; gives the exit code."""
    with stream:
        codes: "dict[str, bytes]" = marshal.load(stream)  # noqa: S302 - our own archive's
    os.waitpid(child, 0)
    sys.meta_path.insert(0, Compiled(codes))
    from mcisd.agent.main import main

    return main(arguments)


if __name__ == "__main__":
    sys.exit(run(stream, child, sys.argv[2:]))  # type: ignore[name-defined]  # noqa: F821 - set by launch
