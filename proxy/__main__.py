"""`python -m proxy` runs a proxy worker."""

import sys

from proxy.main import main

if __name__ == "__main__":
    sys.exit(main())
