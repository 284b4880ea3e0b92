"""Imports Lightning and torchmetrics also where the installed torchvision does not fit torch.

Both import torchvision if it is installed, for networks that we do not use, and a torchvision that was built
for another torch raises RuntimeError then. Import this module before them.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

_NAME = "torchvision"


class _Absent(ModuleType):
    """A module of torchvision, or anything in it, that nobody can use."""

    def __getattr__(self, name: str) -> "_Absent":
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")


class _AbsentFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != _NAME:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is."""


@contextmanager
def without_broken_torchvision() -> Iterator[None]:
    """Hide a torchvision that is installed but cannot be imported; one that works stays as it is."""
    if importlib.util.find_spec(_NAME) is None or _works():
        yield
        return
    finder = _AbsentFinder()
    _forget()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        # Whoever asks for it later shall see what is wrong with it.
        _forget()


def _works() -> bool:
    try:
        importlib.import_module(_NAME)
    except (ImportError, RuntimeError, OSError, AttributeError):
        return False
    return True


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == _NAME]:
        del sys.modules[name]


with without_broken_torchvision():
    import lightning.pytorch  # noqa: F401
    import torchmetrics.functional.image  # noqa: F401
