"""`python -m replicator` runs the replicator of a node."""

import sys

from replicator.main import main

if __name__ == "__main__":
    sys.exit(main())
