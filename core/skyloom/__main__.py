"""The command line as ``python -m skyloom``."""

from __future__ import annotations

import sys

from skyloom.cli import main

if __name__ == "__main__":
    sys.exit(main())
