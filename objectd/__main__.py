"""Runs the daemon: `python -m objectd`."""

import sys

from objectd.main import main

if __name__ == "__main__":
    sys.exit(main())
