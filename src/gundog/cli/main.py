"""The commands. Nothing heavy is imported until one needs it, so that --help answers at once."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gundog.cli import common, options, streams
from gundog.core.errors import ContentError, GundogError, InputError
from gundog.core.wording import count

if TYPE_CHECKING:
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status.

    0 done; 1 done but something failed or had no data; 2 the input is wrong and nothing was done;
    3 another run holds the warehouse.
    """
    streams.prepare()
    status = _ended(sys.argv[1:] if argv is None else list(argv))
    if lost := streams.finish():
        common.complain(
            f"standard output cannot be written ({lost}): send it to a place that can be written"
        )
        return status or 1
    return status


def _ended(argv: Sequence[str]) -> int:
    """The exit status of a command, all that went wrong said."""
    try:
        _check_words(argv)
        arguments = options.parser().parse_args(argv)
        command: Callable[[argparse.Namespace], int] = arguments.run
        return command(arguments)
    except ContentError as error:
        common.complain(error)
        common.complain(f"{count(len(error.problems), 'problem')}; nothing was done")
        return error.exit_status
    except GundogError as error:
        common.complain(error)
        return error.exit_status
    except OSError as error:
        if not (said := _refused(error)):
            raise
        common.complain(said)
        return 1
    except KeyboardInterrupt:
        return common.stopped()
    except RuntimeError as error:
        from gundog.warehouse import database

        if not database.is_interrupt(error):
            raise
        return common.stopped()


def _refused(error: OSError) -> str:
    """What a disk or the operating system refused, and what to do; empty for other errors."""
    where = error.filename or "a file"
    if isinstance(error, PermissionError):
        return (
            f"{where}: this account may not reach it ({error.strerror}): ask who runs gundog to"
            " let a group read there (docs/operations.md)"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{where}: cannot be written ({error.strerror}): free disk space and run again"
    return ""


def _check_words(argv: Sequence[str]) -> None:
    """Raises InputError for an argument that is not UTF-8: no table and no file could keep it."""
    for word in argv:
        if not word.isprintable() and any("\ud800" <= char <= "\udfff" for char in word):
            raise InputError(f"the argument {word} is not UTF-8: write it in UTF-8")
