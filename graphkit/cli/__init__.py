"""The ``graphkit`` command: one sentence and exit code 2 on bad input, 130 on Ctrl-C, nothing but JSON with --json."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` when None.
    """
    sys.exit(run(argv))


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (a check failed), 2 (bad input) or 130 (Ctrl-C).

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` when None.

    Examples
    --------
    >>> run(["--version"]) == 0  # doctest: +ELLIPSIS
    graphkit ...
    True
    """
    from graphkit.cli.app import app
    from graphkit.core.errors import GraphKitError

    args = sys.argv[1:] if argv is None else list(argv)
    try:
        code = app(args=args, prog_name="graphkit", standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except GraphKitError as error:
        return _fail(str(error))
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe went away; nobody is left to be told
        return 1
    except OSError as error:
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}")
    except Exception as error:
        usage = getattr(error, "format_message", None)  # what Typer raises for a wrong option or value
        if usage is None:
            raise
        return _usage(error, usage(), args)
    if code == 130:
        print("stopped", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _fail(sentence: str) -> int:
    print("error: " + " ".join(sentence.split()), file=sys.stderr)
    return 2


def _usage(error: Exception, message: str, args: Sequence[str]) -> int:
    """Tell a wrong option, value or command in one sentence."""
    context = getattr(error, "ctx", None)
    if not message.strip() or type(error).__name__ == "NoArgsIsHelpError":
        print(message)
        return 2 if args else 0
    words = message.strip().rstrip(".").replace(". Did", "; did").replace(". ", "; ")
    words = words[:1].lower() + words[1:]
    where = getattr(context, "command_path", "graphkit")
    return _fail(words if "did you mean" in words.lower() else f"{words}; see {where} --help")
