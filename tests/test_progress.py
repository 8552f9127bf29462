"""Tests of cli.progress: what a run tells while it goes."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def test_ctrl_c_while_a_line_is_written_asks_to_stop() -> None:
    """The answer to Ctrl-C cannot meet the line that was just being written."""
    program = textwrap.dedent(
        """
        import io, os, signal, sys

        from gundog.cli import progress

        class Interrupted(io.FileIO):
            sent = False

            def write(self, data):
                if not self.sent:
                    self.sent = True
                    os.kill(os.getpid(), signal.SIGINT)
                return super().write(data)

        sys.stderr = io.TextIOWrapper(io.BufferedWriter(Interrupted(2, "wb", closefd=False)))
        with progress.watching() as watch:
            watch.say("a day is done")
            print(watch.stop())
        """
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"
    assert "a day is done" in done.stderr
    assert "stopping after this day" in done.stderr
