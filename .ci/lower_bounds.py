"""Print the lowest releases that pyproject.toml allows of the core's packages, one a line.

Those of the test tools come as well: the core's tests run with them.
"""

import re
import sys
import tomllib
from pathlib import Path

TOOLS = ("hypothesis", "pytest", "pytest-xdist")

project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
dev = project["optional-dependencies"]["dev"]
tools = [line for line in dev if re.split("[<>=]", line)[0] in TOOLS]
for requirement in [*project["dependencies"], *tools]:
    sys.stdout.write(requirement.replace(">=", "==") + "\n")
