"""``python -m moored``: the command line."""

import sys

from moored.cli import main

if __name__ == "__main__":
    sys.exit(main())
