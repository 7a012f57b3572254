"""What users can catch: every error of this library is a ClconvError."""


class ClconvError(Exception):
    """Base class of all errors that clconv raises."""


class ProblemError(ClconvError, ValueError):
    """The caller's arguments don't describe a problem: names the argument, what was expected and what came."""


class UnsupportedError(ClconvError, RuntimeError):
    """The problem is sound, but nothing on this device can run it: names each variant with its reason."""


class BuildError(ClconvError, RuntimeError):
    """The driver's compiler refused a kernel: names kernel, arguments, device, log and a file with the source."""


class DeviceError(ClconvError, RuntimeError):
    """A device was not found, or its driver failed while it worked."""


class OutOfMemoryError(ClconvError, MemoryError):
    """The device could not hold the problem: names what was asked for and what the device has."""
