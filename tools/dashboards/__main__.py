"""Write all dashboards; argument: the directory, by default the one of this repository."""

import sys
from pathlib import Path

from tools.dashboards.files import HOME, write

write(Path(sys.argv[1]) if len(sys.argv) > 1 else HOME)
