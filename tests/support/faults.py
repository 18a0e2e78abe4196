"""Makes the nth write, fsync, rename, send … of a vault process fail, fall short, or be the last thing it does.

The module has two halves. `Runner.run` runs a vault command under a `Fault`, or counts what could be hit. `install`
works inside that process and, through a `sitecustomize`, inside the receiver's: it wraps what Python code calls to
write and to send, and the exchange of two names. The vault writes nothing through libgit2 or another library, which
this would not see.

Only files below the folders that `run` is given count.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

PLAN = "VAULT_TEST_FAULT"
"""Environment variable that holds the plan as JSON."""

KILLED = 137
"""Exit code of a process that a fault ended, as of one that was killed."""

STALL = 0.5
"""Seconds that something takes which should take none."""

DISK = ("short", "torn", "before", "after", "ENOSPC", "EIO", "stall")
"""What can happen to an operation on files.

short: a write takes half of the bytes, and what is no write fails with EIO; torn: half of the bytes are written, then
the process is gone; before, after: the process is gone then; ENOSPC: this and all later ones that need room fail;
EIO: this one fails; stall: it takes a while.
"""

NET = ("short", "before", "after", "ECONNRESET", "stall")
"""What can happen when something is sent or received: `short` takes or gives half, `stall` ends in a time-out."""

_LOADED = (
    "cli.main",
    "cli.sync",
    "cli.export",
    "cli.alert",
    "cli.hourly",
    "cli.prune",
    "cli.repair",
    "cli.restore",
    "cli.verify",
    "hooks",
    "vault.sync",
    "vault.alert",
    "vault.hourly",
    "vault.repair",
    "vault.restore",
    "vault.retention.prune",
    "vault.emergency.export",
)
"""What the commands import."""

_NEED_ROOM = {"open", "write", "mkdir", "link", "symlink"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: the `at`th (from 1) operation of `kind` (disk, net) in the process `role` (main, receiver)."""

    at: int
    how: str
    kind: str = "disk"
    role: str = "main"

    def __str__(self) -> str:
        return f"{self.how} at {self.kind} operation {self.at} of {self.role}"


@dataclass(slots=True)
class Ran:
    """How a command under a fault ended."""

    code: int
    out: str
    err: str
    memory: int = 0
    """The most that the command took, in MiB."""
    points: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Role and kind to the operations that were met, in order."""
    hit: str = ""
    """The operation that the fault met; empty when the command had fewer."""


class Runner:
    """Runs vault commands, each in a process of its own, undisturbed or under a fault.

    One process has everything imported and forks for each command: a sweep would otherwise mostly import. A context
    manager; `folder` is for its own files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Runner:
        self._folder.mkdir(parents=True, exist_ok=True)
        here = str(Path(__file__).parent)
        (self._folder / "sitecustomize.py").write_text(  # for the receiver, a Python of its own
            f"import sys\nsys.path.append({here!r})\nimport faults\nfaults.install()\n"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", "import faults; faults.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(self._folder)},
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate(timeout=30)

    def run(
        self,
        arguments: Sequence[str | Path],
        watched: Sequence[Path],
        fault: Fault | None = None,
        constants: Mapping[str, int] | None = None,
        now: datetime | None = None,
    ) -> Ran:
        """Run `vault ARGUMENTS` under `fault`; without one, count the operations on files below `watched`.

        `constants` ("vault.module.NAME" to value) hold in the main process, where a test can't have the real ones.
        `now` (aware) is the time that the command takes it to be.
        """
        for stale in self._folder.glob("*.log"):
            stale.unlink()
        order = {
            "arguments": [str(word) for word in arguments],
            "watched": [str(path) for path in watched],
            "log": str(self._folder),
            "fault": [fault.at, fault.how, fault.kind, fault.role] if fault else None,
            "constants": dict(constants or {}),
            "now": now.isoformat() if now else None,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code, memory = map(int, self._process.stdout.readline().split())
        out, err = (self._folder.joinpath(name).read_text("utf-8") for name in ("out", "err"))
        ran = Ran(code, out, err, memory >> 10)
        for log in self._folder.glob("*.log"):
            for line in log.read_text("utf-8").splitlines():
                kind, operation = line.split(" ", 1)
                if kind == "hit":
                    ran.hit = operation
                else:
                    ran.points.setdefault((log.stem, kind), []).append(operation)
        return ran


# Inside the processes


def serve() -> None:
    """Fork for each order on standard input; answer with the exit code of the child, and the KiB it took."""
    for module in _LOADED:
        importlib.import_module(module)

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _obey(json.loads(line))
        _, status, used = os.wait4(child, 0)
        os.write(1, b"%d %d\n" % (os.waitstatus_to_exitcode(status), used.ru_maxrss))


def _obey(order: dict[str, Any]) -> NoReturn:
    """Be the command: its own standard streams, the injector, and the end of the process as Python has it."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{order['log']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    os.environ[PLAN] = json.dumps(order)
    sys.argv = ["vault", *order["arguments"]]
    for name, value in order["constants"].items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    if order["now"]:
        _stop_the_clock(datetime.fromisoformat(order["now"]))
    install()
    from cli.main import main

    sys.exit(main())


def _stop_the_clock(moment: datetime) -> None:
    """Let every command take it to be `moment`."""

    class Stopped(datetime):
        """The class that commands ask for the time."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return moment.astimezone(tz)

    for name, module in list(sys.modules.items()):
        if name.startswith("cli.") and getattr(module, "datetime", None) is datetime:
            module.datetime = Stopped  # type: ignore[attr-defined]


def install() -> None:
    """Wrap the operations of this process as the plan in the environment says; without one, do nothing."""
    if PLAN in os.environ:
        _Injector(json.loads(os.environ[PLAN])).install()


class _Injector:
    """Counts operations, and acts at the one that the plan names."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._roots = tuple(plan["watched"])
        self._role = "receiver" if "vault.rois.server" in sys.orig_argv else "main"
        self._at, self._how, self._kind, role = plan["fault"] or (0, "", "", "")
        if role != self._role:
            self._at = 0
        self._log = os.open(f"{plan['log']}/{self._role}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._counts = {"disk": 0, "net": 0}
        self._full = False
        self._lock = threading.RLock()

    def install(self) -> None:
        for name in ("rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "symlink"):
            setattr(os, name, self._on_path(name, getattr(os, name)))
        for name in ("fsync", "fdatasync", "ftruncate"):
            setattr(os, name, self._on_descriptor(name, getattr(os, name)))
        os.open = self._os_open(os.open)  # type: ignore[assignment]
        os.write = self._os_write(os.write)  # type: ignore[assignment]
        self._wrap_files()
        self._wrap_exchange()
        for name in ("send", "sendall", "recv", "recv_into"):
            setattr(socket.socket, name, self._on_socket(name, getattr(socket.socket, name)))

    # what is counted, and what happens then

    def act(
        self, kind: str, name: str, where: str, call: Callable[[], Any], half: Callable[[], Any] | None
    ) -> Any:
        """Perform one operation, or what the plan has in its place. `half` performs half of it, where it can be."""
        with self._lock:
            self._counts[kind] += 1
            hit = self._counts[kind] == self._at and kind == self._kind
            self._note(kind, f"{name} {where}")
            full = self._full and kind == "disk" and name in _NEED_ROOM
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), where)
        return self._strike(name, where, call, half) if hit else call()

    def _strike(self, name: str, where: str, call: Callable[[], Any], half: Callable[[], Any] | None) -> Any:
        self._note("hit", f"{name} {where}")
        how = self._how
        if how == "before":
            os._exit(KILLED)
        if how in {"torn", "after"}:
            (half or call)() if how == "torn" else call()
            os._exit(KILLED)
        if how == "short" and half is not None:
            return half()
        if how == "stall":
            time.sleep(STALL)
            if self._kind == "disk":
                return call()
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), where)
        if how == "ENOSPC":
            self._full = True
        number = getattr(errno, how, errno.EIO)
        raise OSError(number, os.strerror(number), where)

    def _note(self, kind: str, text: str) -> None:
        self._real_write(self._log, f"{kind} {text}\n".encode("utf-8", "backslashreplace"))

    _real_write = staticmethod(os.write)

    def _watches(self, where: str) -> bool:
        return any(where == root or where.startswith(f"{root}/") for root in self._roots)

    # operations on files

    def _on_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Any, *rest: Any, **options: Any) -> Any:
            base = options.get("dir_fd", options.get("src_dir_fd"))
            where = _located(
                rest[0] if name in {"rename", "replace", "link", "symlink"} and rest else path, base
            )
            if not self._watches(where):
                return real(path, *rest, **options)
            return self.act("disk", name, where, lambda: real(path, *rest, **options), None)

        return wrapped

    def _on_descriptor(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(file: Any, *rest: Any) -> Any:
            where = _described(file if isinstance(file, int) else file.fileno())
            if not self._watches(where):
                return real(file, *rest)
            return self.act("disk", name, where, lambda: real(file, *rest), None)

        return wrapped

    def _os_open(self, real: Callable[..., int]) -> Callable[..., int]:
        def wrapped(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            where = _located(path, dir_fd)
            if not flags & os.O_CREAT or not self._watches(where):
                return real(path, flags, mode, dir_fd=dir_fd)
            return int(self.act("disk", "open", where, lambda: real(path, flags, mode, dir_fd=dir_fd), None))

        return wrapped

    def _os_write(self, real: Callable[..., int]) -> Callable[..., int]:
        def wrapped(descriptor: int, data: Any) -> int:
            where = _described(descriptor)
            if not self._watches(where):
                return real(descriptor, data)
            half = memoryview(data).cast("B")[: max(1, len(data) // 2)]
            return int(
                self.act(
                    "disk", "write", where, lambda: real(descriptor, data), lambda: real(descriptor, half)
                )
            )

        return wrapped

    def _wrap_files(self) -> None:
        injector, real = self, io.open

        class File(io.FileIO):
            """A file whose writes count."""

            where = ""

            def write(self, data: Any, /) -> int:
                half = memoryview(data).cast("B")
                half = half[: max(1, len(half) // 2)]
                whole = partial(io.FileIO.write, self)
                taken = injector.act("disk", "write", self.where, lambda: whole(data), lambda: whole(half))
                return int(taken)

        def opened(
            file: Any,
            mode: str = "r",
            buffering: int = -1,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            closefd: bool = True,
            opener: Any = None,
        ) -> Any:
            """As `io.open`, with a `File` at the bottom of what is opened for writing."""
            where = _described(file) if isinstance(file, int) else _located(file, None)
            if not set(mode) & set("wxa+") or not injector._watches(where):
                return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
            plain = mode.replace("b", "").replace("t", "")

            def make() -> File:
                return File(file, plain, closefd, opener)

            known = isinstance(file, int) or opener is not None or plain == "r+"
            raw = make() if known else injector.act("disk", "open", where, make, None)
            raw.where = where
            if buffering == 0:
                return raw
            size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
            buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
            if "b" in mode:
                return buffered
            return io.TextIOWrapper(buffered, io.text_encoding(encoding), errors, newline, buffering == 1)

        import builtins

        io.open = opened  # type: ignore[assignment]
        builtins.open = opened  # type: ignore[assignment]

    def _wrap_exchange(self) -> None:
        """The one operation that Python has no function for: two names change places in one step."""
        swap = sys.modules.get("vault.archive.swap")
        if swap is None:  # the receiver exchanges nothing
            return
        real = swap._LIBC.renameat2

        def wrapped(base: int, one: bytes, other: int, two: bytes, flags: Any) -> int:
            def call() -> int:
                return int(real(base, one, other, two, flags))

            where = os.fsdecode(two)
            if not self._watches(where):
                return call()
            try:
                return int(self.act("disk", "exchange", where, call, None))
            except OSError as error:
                ctypes.set_errno(error.errno or errno.EIO)
                return -1

        swap._LIBC.renameat2 = wrapped

    # operations on sockets

    def _on_socket(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(connection: socket.socket, data: Any, *rest: Any) -> Any:
            if connection.family not in {socket.AF_INET, socket.AF_INET6}:
                return real(connection, data, *rest)

            def half() -> Any:
                if name == "recv":
                    return real(connection, max(1, data // 2), *rest)
                piece = memoryview(data).cast("B")
                return real(connection, piece[: max(1, len(piece) // 2)], *rest)

            short = None if name == "sendall" else half
            return self.act("net", name, "", lambda: real(connection, data, *rest), short)

        return wrapped


def _located(path: Any, base: int | None) -> str:
    """An absolute path, as text, of what may be relative to the folder open as `base`."""
    if isinstance(path, int):
        return _described(path)
    text = os.fsdecode(path)
    return os.path.abspath(os.path.join(_described(base), text) if base is not None else text)  # noqa: PTH100, PTH118


def _described(descriptor: int) -> str:
    """The path of an open file."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return ""
