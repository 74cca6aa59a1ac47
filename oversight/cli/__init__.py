"""The command line. `main` runs one command and turns every error into one line and an exit status.

0  done; every planned episode has a verdict that is not a failure
1  some planned episode failed
2  something the user can mend, said in one line
3  stopped at --max-cost or --max-calls; everything committed is kept
70 a bug of ours
130 stopped by Ctrl-C; everything committed is kept

Nothing heavy is imported until a command needs it: `oversight --help` must come at once.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from oversight.cli import (
    check,
    compare,
    doctor,
    export,
    imports,
    listing,
    make,
    merge,
    models,
    power,
    query,
    rejudge,
    report,
    reproduce,
    run,
    search,
    show,
)

app = typer.Typer(
    name="oversight",
    help="Which ways of checking a stronger model still work? Play protocols of oversight and measure them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run")(run.run)
app.command("rejudge")(rejudge.rejudge)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("power")(power.power)
app.command("show")(show.show)
app.command("query")(query.query)
app.command("search")(search.search)
app.command("check")(check.check)
app.command("backup")(check.backup)
app.command("merge")(merge.merge)
app.command("list")(listing.list_)
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)
app.command("make")(make.make)
app.command("import")(imports.import_)
app.command("export")(export.export)
app.command("reproduce")(reproduce.reproduce)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What writing our output raises where it goes to a full disk, or to a terminal that has gone."""
_NO_PLACE = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM)
"""What looking for a file raises where a name cannot be one, or lies where we may not look."""


def _version(wanted: bool) -> None:
    if wanted:
        from oversight import __version__

        print(f"oversight {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def program() -> int:
    """`main` as all that a process does. What is imported is no garbage, and at the end, when all goes, none is looked
    for: with the interpreter's own pace a seventh of the time that a command takes which does little."""
    gc.set_threshold(100_000, 20, 20)
    try:
        return main()
    finally:
        gc.freeze()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` without the program's name. Returns the exit status."""
    from oversight.errors import OversightError

    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal without UTF-8 gets escapes, not a crash.
            stream.reconfigure(errors="backslashreplace")
    for argument in arguments:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            _say(f"{argument} is not UTF-8 text")
            return 2
    try:
        status = typer.main.get_command(app).main(
            args=arguments, prog_name="oversight", standalone_mode=False, obj=arguments
        )
        if sys.stdout is not None:  # None where it was closed before we began
            sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader of our output has enough (`| head`); Python would complain again on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("OVERSIGHT_DEBUG"):
            raise
        if isinstance(error, OversightError):
            _say(str(error))
            return 2
        if isinstance(error, OSError) and error.filename is None and error.errno in _NO_ROOM:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _say(f"the output cannot be written: {error.strerror}; send it somewhere else")
            return 2
        if isinstance(error, OSError) and error.filename is not None and error.errno in _NO_PLACE:
            _say(f"{error.filename}: {error.strerror}: name another place")
            return 2
        if hasattr(error, "format_message"):  # typer's own: a wrong option or command
            context = getattr(error, "ctx", None)
            where = f" (see `{context.command_path} --help`)" if context else ""
            _say(f"{error.format_message().replace('Value error, ', '')}{where}")
            return int(getattr(error, "exit_code", 2))
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        _say(f"internal error: {reason} (the same command with OVERSIGHT_DEBUG=1 shows the traceback)")
        return 70


def _say(message: str) -> None:
    from oversight.report.safe import one_line
    from oversight.secrecy import without_keys

    print(f"oversight: {one_line(' '.join(without_keys(message).split()))}", file=sys.stderr)
