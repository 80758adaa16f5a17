"""A package whose modules can be imported before it is executed itself.

    make_lazy("google.cloud.firestore_v1")
    from google.cloud.firestore_v1 import types      # imported
    from google.cloud.firestore_v1 import Client     # now the package is executed as well

The package of the generated client imports gapic, requests and cryptography, which cost a process five times the CPU of
its messages, and only the messages are used here. Whoever asks the package for anything of its own gets it.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from typing import Any


def make_lazy(name: str) -> None:
    """Has a package executed when it is first asked for what it does not have yet; not if it has been imported."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return  # whoever imports it gets it, or is told what is missing
    loader, package, lock, is_begun = spec.loader, importlib.util.module_from_spec(spec), threading.RLock(), False

    def get(attribute: str) -> Any:
        nonlocal is_begun
        with lock:  # other threads wait until all is there
            if not is_begun:
                is_begun = True
                try:
                    loader.exec_module(package)
                except BaseException:
                    is_begun = False
                    raise
                del package.__dict__["__getattr__"]
        try:
            return package.__dict__[attribute]
        except KeyError:  # also while the package imports its own modules, which are found then
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}") from None

    package.__dict__["__getattr__"] = get
    parent, _, child = name.rpartition(".")
    sys.modules[name] = package
    setattr(sys.modules[parent], child, package)
