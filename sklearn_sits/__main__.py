"""The commands of the package: ``python -m sklearn_sits``."""

import argparse
import sys
import warnings

from sklearn_sits import __version__
from sklearn_sits.cli import map as map_command

__all__ = ["main"]


def main(arguments=None):
    """Run a command.

    Parameters
    ----------
    arguments : list of str or None, default=None
        Command-line arguments without the name of the program; None reads those of the process.

    Raises
    ------
    SystemExit
        With code 2 if the input is wrong, after one line that gives the reason, with 130 if the
        command is interrupted, and with 0 after ``--help`` and ``--version``.
    """
    parser = argparse.ArgumentParser("python -m sklearn_sits", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="command", required=True)
    command = commands.add_parser(
        "map", help="predict every pixel of a cube", description=map_command.DESCRIPTION
    )
    map_command.add_arguments(command)
    args = parser.parse_args(arguments)

    def show(message, *place, **options):
        sys.stderr.write(f"{command.prog}: warning: {map_command.say_options(str(message))}\n")

    try:
        with warnings.catch_warnings():
            # The line of the code is of no use to the user of a command.
            warnings.showwarning = show
            map_command.make_map(args)
    except (ImportError, OSError, TypeError, ValueError) as error:
        message = map_command.say_options(" ".join(str(error).split()))
        command.exit(2, f"{command.prog}: error: {message}\n")
    except KeyboardInterrupt:
        command.exit(130, f"{command.prog}: interrupted. The same command continues.\n")


_DESCRIPTION = "Estimators for satellite image time series."

if __name__ == "__main__":
    sys.exit(main())
