"""`python -m gundog` and the `gundog` command."""

from __future__ import annotations

import sys

from gundog.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
