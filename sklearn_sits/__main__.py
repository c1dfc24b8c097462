"""The commands of the package: ``python -m sklearn_sits``."""

import pkgutil
import sys
import warnings

from sklearn_sits import __version__
from sklearn_sits.cli.parser import make_parser, say_options

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
    args = make_parser(__version__).parse_args(arguments)

    def show(message, *place, **options):
        sys.stderr.write(f"{args.prog}: warning: {say_options(str(message))}\n")

    try:
        args.check(args)
        with warnings.catch_warnings():
            # The line of the code is of no use to the user of a command.
            warnings.showwarning = show
            # Not before the options are known to be right: this imports torch.
            pkgutil.resolve_name(args.run)(args)
    except (ImportError, OSError, TypeError, ValueError) as error:
        sys.stderr.write(f"{args.prog}: error: {say_options(' '.join(str(error).split()))}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        what_next = "The same command continues" if args.resumes else "Nothing was written"
        sys.stderr.write(f"{args.prog}: interrupted. {what_next}.\n")
        sys.exit(130)


if __name__ == "__main__":
    sys.exit(main())
