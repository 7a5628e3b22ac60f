"""``python -m tests.simulation`` is ``scripts/simulate``."""

from __future__ import annotations

import sys

from tests.simulation.full_run import main

if __name__ == "__main__":
    sys.exit(main())
