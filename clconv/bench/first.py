"""The first call of a process, in processes of their own: with empty caches on disk, then with what that one left there.

Run as a program it reads a job from standard input and prints the seconds from a plan's constructor to the end of its first call.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import clconv
from clconv.bench.call import Job
from clconv.device import Device, resolve
from clconv.errors import DeviceError
from clconv.queues import queue_for

_CACHES = {"XDG_CACHE_HOME": "clconv", "POCL_CACHE_DIR": "pocl", "CUDA_CACHE_PATH": "nvidia"}
"""Variables that say where this library, pyopencl and drivers keep what they compile."""


def first_calls(job: Job, device: Device, timeout: float = 120.0) -> dict[str, float]:
    """Seconds of the first call with a "cold" and with a "warm" disk cache, self-check aside.

    Raises
    ------
    DeviceError
        The process failed or took too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        return {name: _in_a_process(job, device, Path(folder), timeout) for name in ("cold", "warm")}


def _in_a_process(job: Job, device: Device, folder: Path, timeout: float) -> float:
    caches = {name: str(folder / sub) for name, sub in _CACHES.items()}
    for path in caches.values():
        Path(path).mkdir(exist_ok=True)
    path = os.pathsep.join([str(Path(clconv.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, **caches, "PYTHONPATH": path, "CLCONV_SELFCHECK": "0"}
    text = json.dumps({"job": asdict(job), "device": device.index})
    command = [sys.executable, "-m", "clconv.bench.first"]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=environment, timeout=timeout, check=True)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"the first call took more than {timeout} s") from error
    except subprocess.CalledProcessError as error:
        raise DeviceError(f"the first call failed: {error.stderr.strip().splitlines()[-1:]}") from error
    return float(done.stdout.split()[-1])


def main() -> None:
    """Make the first call."""
    values = json.loads(sys.stdin.read())
    job = Job.from_json(values["job"])
    queue = queue_for(resolve(values["device"]), None)
    arrays = job.layer.arrays(job.dtype)
    grad_output = arrays.pop("grad_output")
    start = time.perf_counter()
    plan = job.plan(queue)
    if job.which == "forward":
        plan.forward(**arrays)
    else:
        arrays.pop("bias", None)
        plan.backward(grad_output, **arrays, needs=job.needs)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
