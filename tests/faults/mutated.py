"""The fork server's preload with a mistake planted: all processes of the installation have it."""

import os
from importlib import import_module

from tests.faults.mistakes import VARIABLE, plant, share_connections

is_early = os.environ.get(VARIABLE) == share_connections.__name__
if is_early:  # what it takes away is used while modules are imported
    plant()
import_module("sentineliq.local.preload")
if not is_early:
    plant()
