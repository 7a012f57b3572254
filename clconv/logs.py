"""CLCONV_LOG=info: what was chosen, built and launched, on standard error."""

import logging
import os

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


def configure() -> None:
    """Give the logger "clconv" a handler if the environment asks for one; a program with logging of its own needs it not."""
    level = _LEVELS.get(os.environ.get("CLCONV_LOG", "").lower())
    logger = logging.getLogger("clconv")
    if level is None or logger.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("clconv: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level)
