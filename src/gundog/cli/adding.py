"""What adds a command to the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

# Takes the command's name, what runs it and what it does; returns its parser.
Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
