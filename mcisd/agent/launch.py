"""The archive's first step: its sources in, a fresh interpreter that runs their compiled form out.

Compiling leaves more than a megabyte behind in a process, and so do the modules that run an archive. So this process
compiles and then becomes (same process id) an interpreter that never did, which reads the code from a pipe; see
``loader``. Nothing is written to disk, so nothing there can be stale or tampered with.
"""

import marshal
import os
import sys

MYPY = False
if MYPY:
    from typing import Protocol

    class Archive(Protocol):
        """What the import system offers for a zip file."""

        def get_data(self, path: "str") -> "bytes":
            """The bytes of a file. Raises OSError."""


LOADER = "mcisd/agent/loader.py"
_FIRST = "import marshal; stream = open(%d, 'rb'); child = %d; exec(marshal.load(stream))"


def launch(archive: "Archive", files: "list[str]", arguments: "list[str]") -> "None":
    """Become the agent made of the archive's ``files``; returns only if that cannot be done here."""
    try:
        text = compiled(archive, files, arguments[0])
        reader, writer = os.pipe()
        child = os.fork()  # a pipe holds 64 kB, the code is more: somebody has to go on writing
    except OSError:
        return  # less memory is no reason not to run
    if not child:
        _hand_over(reader, writer, text)
    os.close(writer)
    os.set_inheritable(reader, True)
    try:
        command = [sys.executable, "-ISB", "-c", _FIRST % (reader, child), *arguments]
        os.execve(sys.executable, command, surroundings(dict(os.environ)))  # noqa: S606 - itself, no shell needed
    except (OSError, ValueError):
        os.close(reader)
        os.waitpid(child, 0)


def compiled(archive: "Archive", files: "list[str]", folder: "str") -> "bytes":
    """The loader's code and ``{file: its code}``, marshalled, without docstrings. Raises OSError."""
    codes = {}
    for name in files:
        path = os.path.join(folder, name)
        codes[name] = compile(archive.get_data(path), path, "exec", dont_inherit=True, optimize=2)
    loader = codes.pop(LOADER)
    return marshal.dumps(loader) + marshal.dumps({name: marshal.dumps(code) for name, code in codes.items()})


def surroundings(environment: "dict[str, str]") -> "dict[str, str]":
    """The environment with the locale C: from Python 3.7 on all text is UTF-8 in it, and no locale file is mapped."""
    return dict(environment, LC_ALL="C") if sys.version_info >= (3, 7) else environment


def _hand_over(reader: "int", writer: "int", text: "bytes") -> "None":
    """In the child: write all, end, without running any of the parent's code."""
    try:
        os.close(reader)
        with open(writer, "wb") as pipe:
            pipe.write(text)
    except OSError:
        os._exit(1)  # the reader is gone
    finally:
        os._exit(0)
