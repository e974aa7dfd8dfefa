"""Builds the zipapp that runs on a VM: this package's sources in, one deterministic archive out. Not part of it.

Run ``python -m mcisd.agent.bundle OUT`` to write it to a file.
"""

import io
import os
import re
import sys
import zipfile

_STAMP = (2020, 1, 1, 0, 0, 0)  # the same sources give the same bytes
_MAIN = """import sys

from mcisd.agent.launch import launch

launch(__loader__, %r, sys.argv)

from mcisd.agent.main import main

sys.exit(main(sys.argv[1:]))
"""


def build_bundle() -> "bytes":
    """The archive; run it with ``python3 -ISB agent.pyz --config FILE``. Raises OSError without the sources."""
    entries = {}
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    entries["mcisd/__init__.py"] = '__version__ = "%s"\n' % _version(package)
    entries["mcisd/model/__init__.py"] = ""
    entries["mcisd/model/wire.py"] = _text(os.path.join(package, "model", "wire.py"))
    for folder, _, names in os.walk(os.path.join(package, "agent")):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".py") and path != os.path.abspath(__file__):
                entries["mcisd/" + os.path.relpath(path, package).replace(os.sep, "/")] = _text(path)
    entries["__main__.py"] = _MAIN % sorted(entries)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside in sorted(entries):
            info = zipfile.ZipInfo(inside, _STAMP)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entries[inside])
    return out.getvalue()


def _version(package: "str") -> "str":
    found = re.search(r'^__version__ = "([^"]+)"', _text(os.path.join(package, "__init__.py")), re.MULTILINE)
    return found.group(1) if found else "0"


def _text(path: "str") -> "str":
    with open(path, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as target:
        target.write(build_bundle())
