"""A worker process as its owner sees it: asked one thing after another, ended when it takes too long, started again when it is gone."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

import clconv
from clconv.errors import DeviceError

COMMAND = (sys.executable, "-m", "clconv.tune.worker")
"""What a worker is started as; the time limit in seconds follows."""

_START = 120.0
"""Seconds until a worker must be ready: it imports this library and asks all drivers for their devices."""

_END = 10.0
"""Seconds that an ended process may take to be gone; one that a driver holds longer is left to the system."""


class Lost(Exception):
    """The worker ended, or took too long, and was asked in vain: says why."""


class Worker:
    """At most one process at a time; `limit` is how many seconds it may take for a request."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._process: subprocess.Popen[str] | None = None
        self._answers: Queue[str] = Queue()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the worker)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        self._errors.close()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request.

        Raises
        ------
        Lost
            The process ended or took too long.
        DeviceError
            No process could be started.
        """
        process = self._running()
        try:
            print(json.dumps(request), file=process.stdin, flush=True)
        except OSError as error:
            raise self._lost() from error
        return self._answer(self._limit)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END)
        if process.stdin is not None:
            with suppress(OSError):  # a request that never went
                process.stdin.close()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        process = self._process = self._started()
        self._answers = Queue()
        Thread(target=_read, args=(process, self._answers), daemon=True).start()
        try:
            self._answer(_START)
        except Lost as lost:
            raise DeviceError(f"the process that tries candidates didn't start: {lost}") from lost
        return process

    def _started(self) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(Path(clconv.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "CLCONV_SELFCHECK": "0", "CLCONV_TUNED": "0"}
        self._errors.seek(0)
        self._errors.truncate()
        command, pipe = [*COMMAND, str(self._limit)], subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors, text=True, encoding="utf-8", env=environment)

    def _answer(self, limit: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=limit)
        except Empty:
            self.close()
            raise Lost(f"it took more than {limit:g} s") from None
        if not line:
            raise self._lost()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _lost(self) -> Lost:
        """Why the process ended: the signal or exit code, and the last that it said."""
        process = self._process
        assert process is not None
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END)
        self.close()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return Lost(": ".join([f"the process ended with {_ending(process.returncode)}", *said[-1:]]))


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _read(process: "subprocess.Popen[str]", answers: "Queue[str]") -> None:
    """Pass on a process's lines, and an empty one at its end; a thread does this, for pipes know no time limits."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            answers.put(line)
    answers.put("")
