"""`vault`: the group of commands, and the only place where errors become messages and exit codes.

Command modules are imported when they are used, so that `vault --help` and a typing error answer at once.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click
from click.shell_completion import shell_complete

from cli.context import Context
from cli.text import printable_lines
from vault import __version__
from vault.errors import ExitCode, VaultError
from vault.names import OF_PATIENTS

COMMANDS = {
    "init": ("cli.init:init", "Make the keys, the folders and a commented configuration."),
    "doctor": (
        "cli.doctor:doctor",
        "Try the mail servers, the database of the ROIS and every query, with the fix for what fails.",
    ),
    "status": ("cli.status:status", "Where things stand: patients, last run, failures, what waits."),
    "sync": ("cli.sync:sync", "Retrieve, compare, commit and encrypt: what runs every night."),
    "hourly": ("cli.hourly:hourly", "Keep what was treated today: what runs every hour of the day."),
    "alert": ("cli.alert:alert", "Read the answers and send the alarms that are due: every ten minutes."),
    "verify": ("cli.verify:verify", "Confirm or dispute what a night changed; enrol a phone."),
    "log": ("cli.log:log", "A patient's history, newest first."),
    "diff": ("cli.diff:diff", "What changed for a patient between two commits."),
    "report": ("cli.report:report", "What a nightly run changed, the gravest first."),
    "show": ("cli.show:show", "One object of a patient, as text or as the bytes received."),
    "export": ("cli.export:export", "Write patients' exact files to a folder, and prove that they are."),
    "restore": ("cli.restore:restore", "Everything back from the share and an identity alone."),
    "audit": ("cli.audit:audit", "Whether histories, ledger and share are what they must be."),
    "repair": ("cli.repair:repair", "A patient's damaged repository, healed from the share."),
    "prune": (
        "cli.prune:prune",
        "Let go who is no longer treated; --dry-run says who, when and why not yet.",
    ),
    "hold": ("cli.hold:hold", "Keep a patient whatever retention says, or no longer."),
    "emergency": ("cli.emergency:emergency", "Declare an emergency, which freezes pruning, or end it."),
    "share": ("cli.share:share", "Prove that the share is fit (`share check`), and measure it."),
    "keys": ("cli.keys:keys", "Who can open the share; add one, or encrypt everything anew."),
    "calibrate": ("cli.calibrate:calibrate", "Which attributes this ROIS changes by itself."),
    "demo": ("cli.demo:demo", "Two nights of a simulated department, in a folder of its own."),
}
"""Every command: where it lives, and its line in `vault --help`."""

COMPLETE = "_VAULT_COMPLETE"
"""Environment variable by which a shell asks for completions: `eval "$(_VAULT_COMPLETE=bash_source vault)"`."""

INTERRUPTED = 128
"""Added to the number of the signal that ended the command: 130 for Ctrl-C, as shells do."""


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Context), name, value)

    return callback


def _common_options() -> list[click.Option]:
    """Options that stand before or after the command's name."""
    return [
        click.Option(
            ["-c", "--config"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            expose_value=False,
            callback=_remember("config_path"),
            help="Configuration. Default: $VAULT_CONFIG, ./vault.toml, /etc/vault/vault.toml.",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_remember("json"),
            help="Results as JSON on standard output.",
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=_remember("verbose"),
            help="Say more on standard error; a traceback where something unexpected happens.",
        ),
    ]


class LazyGroup(click.Group):
    """A group whose commands are imported on use and share the common options."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Every command, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command. None when there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a command")
        for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
            taken = {option for parameter in each.params for option in parameter.opts}
            each.params += [option for option in _common_options() if not taken & set(option.opts)]
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    name="vault",
    params=_common_options(),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 done in part, 4 integrity violated, "
    "5 another run holds the lock.",
)
@click.version_option(__version__, prog_name="vault", message="%(prog)s %(version)s")
def vault() -> None:
    """Keep what a radiation oncology department needs to go on treating.

    Every night the vault retrieves each patient's objects from the ROIS, commits what changed to a signed
    history, and puts an encrypted copy on a share. In an outage it exports the exact files.
    """


def command() -> None:
    """Be the process `vault`: run the command line, and end with its exit code.

    What was told to stop ends at once. A library's thread that the signal surprised, still waiting for a peer to
    answer, would hold the process for as long as the peer likes.
    """
    code = main()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # all is done: Python's own way out is no place to be stopped
    if code > INTERRUPTED:
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    os.umask(0o077)
    threading.excepthook = _background_failed
    words = list(sys.argv[1:] if arguments is None else arguments)
    context = Context(json="--json" in words, verbose=bool({"-v", "--verbose"} & set(words)))
    try:
        with _signals_unwind():
            return _run(words, context)
    except BrokenPipeError:
        return _reader_left()
    except (KeyboardInterrupt, click.Abort, OSError, VaultError, click.ClickException) as error:
        return _foreseen(error, context)
    except Exception as error:  # the last resort of the last line: a sentence instead of a traceback
        return _unforeseen(error, context)


def _run(words: list[str], context: Context) -> int:
    """Run the command. click's own `main` would turn a broken pipe and Ctrl-C into exits of its own."""
    if instruction := os.environ.get(COMPLETE):
        return shell_complete(vault, {}, "vault", COMPLETE, instruction)
    try:
        with vault.make_context("vault", words, obj=context) as click_context:
            vault.invoke(click_context)
    except click.exceptions.Exit as done:
        code = done.exit_code
    else:
        code = ExitCode.DONE
    sys.stdout.flush()
    return code


def _background_failed(failure: threading.ExceptHookArgs) -> None:
    """Keep the end of a library's thread off the terminal: whoever waits for its work says that it did not come."""
    if bool({"-v", "--verbose"} & set(sys.argv)):
        traceback.print_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)


def _foreseen(error: BaseException, context: Context) -> int:
    """Say what stopped the command, in one sentence, and return its exit code."""
    if context.verbose and not isinstance(error, click.ClickException):
        traceback.print_exc()
    match error:
        case click.ClickException():
            error.show()
            return _failed(context, error.format_message(), error.exit_code, shown=True)
        case VaultError():
            return _failed(context, str(error), error.exit_code)
        case OSError():
            _give_up_broken_output()
            return _failed(context, _os_error(error), ExitCode.FAILED)
    number = error.args[0] if isinstance(error, _SignalledError) else signal.SIGINT
    if sys.stderr.isatty():
        click.echo(err=True)  # the terminal shows ^C
    sentence = "Interrupted. Nothing was lost: the next run finishes what this one began."
    return _failed(context, sentence, INTERRUPTED + number)


def _unforeseen(error: Exception, context: Context) -> int:
    """Say that something unexpected happened without showing data, which may name a patient."""
    if context.verbose:
        traceback.print_exc()
    frames = [Path(frame.filename).name + f", line {frame.lineno}" for frame in _frames(error)]
    where = frames[-1] if frames else "an unknown place"
    sentence = f"This should not have happened: {type(error).__name__} in {where}."
    return _failed(context, f"{sentence} Run the command again with -v for details.", ExitCode.FAILED)


def _frames(error: Exception) -> list[traceback.FrameSummary]:
    """Where it happened, outermost first: in our own code where any of it was involved."""
    home = str(Path(__file__).parents[1])
    frames = list(traceback.extract_tb(error.__traceback__))
    own = [frame for frame in frames if frame.filename.startswith(home) and ".venv" not in frame.filename]
    return own or frames


def _os_error(error: OSError) -> str:
    what = error.strerror or type(error).__name__
    where = (
        f": {_without_names(os.fsdecode(error.filename))}" if isinstance(error.filename, str | bytes) else ""
    )
    remedies = {
        errno.ENOSPC: " Make room on that disk; the next run goes on from here.",
        errno.EDQUOT: " Make room on that disk; the next run goes on from here.",
        errno.EACCES: " Run the vault as the user who owns its folders.",
        errno.EPERM: " Run the vault as the user who owns its folders.",
        errno.EROFS: " The file system is read-only; look into the system's journal for why.",
        errno.EIO: " The disk reports a fault; look into the system's journal before the next run.",
    }
    return f"{what}{where}.{remedies.get(error.errno or 0, '')}"


def _without_names(path: str) -> str:
    """A path up to the folder whose contents are named after patients."""
    parts = Path(path).parts
    for number, part in enumerate(parts):
        if part in OF_PATIENTS:
            return str(Path(*parts[: number + 1]))
    return path


def _failed(context: Context, sentence: str, code: int, *, shown: bool = False) -> int:
    """Print the message: on stderr for people, and on stdout too where the caller asked for JSON."""
    if not shown:
        click.echo(f"vault: {printable_lines(sentence)}", err=True)
    if context.json and not context.emitted:
        with suppress(OSError):
            context.emit({"error": sentence, "exit_code": int(code)})
    return int(code)


def _reader_left() -> int:
    """Whoever read our output has gone (`| head`): nothing is left to say, and nobody to say it to."""
    _discard_output()
    return INTERRUPTED + signal.SIGPIPE


def _give_up_broken_output() -> None:
    """Where standard output itself can't be written, Python would fail at exit again and return a code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _SignalledError(KeyboardInterrupt):
    """A request to stop other than Ctrl-C; `args[0]` is the signal's number."""


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does: the network closes on the way out."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise _SignalledError(number)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    except ValueError:  # not the main thread: signals are somebody else's business
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
