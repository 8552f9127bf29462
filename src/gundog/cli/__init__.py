"""The commands, and the pages that a terminal shows."""
