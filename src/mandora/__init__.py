"""Sharp/van der Heijde scores from radiographs of hands and feet, with evidence.

For research use only; not a medical device.
"""

import logging
import os

__version__ = "0.1.0"

# Packages that tell their makers of their use read these when they are loaded; this module comes
# before any of them, in processes that it starts as well. What the user has set stays.
for _name, _quiet in {"ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}.items():
    os.environ[_name] = os.environ.get(_name) or _quiet

# silent unless who uses the package asks for its log: the command line does with --verbose
logging.getLogger(__name__).addHandler(logging.NullHandler())
