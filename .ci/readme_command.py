"""Print one of the two commands that the README promises, so that CI runs what a reader would."""

import re
import sys
from pathlib import Path

wanted = {"demo": "microsr demo", "test": "pytest"}[sys.argv[1]]
readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
commands = [line for line in readme.splitlines() if re.match(r"python3 -m venv \.venv && ", line)]
(command,) = [line for line in commands if line.endswith(wanted)]
print(command)
