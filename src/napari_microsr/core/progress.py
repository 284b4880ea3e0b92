"""How a long computation reports and how it is stopped."""

import sys
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar


class Cancelled(Exception):  # noqa: N818 - a request that was granted, not an error
    """Raised by `Progress.advance` when the user asked to stop."""


class Progress(Protocol):
    """What a computation calls between its steps."""

    def advance(self, label: str, done: int, total: int) -> None:
        """Report that `done` of `total` steps are finished.

        Raises
        ------
        Cancelled
            If the user asked to stop; the caller closes its files and lets it pass.
        """

    def warn(self, message: str) -> None:
        """Tell the user something that does not stop the computation."""


class SilentProgress:
    """Progress for library use: reports nothing, keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def advance(self, label: str, done: int, total: int) -> None:
        """Do nothing."""

    def warn(self, message: str) -> None:
        """Keep the message in `warnings`."""
        self.warnings.append(message)


class ConsoleProgress:
    """A bar on standard error, drawn on a terminal only; warnings are always printed there."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True)
        self._bar = RichBar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        if not self._bar.disable:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._bar.disable:  # rich would end even a bar that was never drawn with an empty line
            self._bar.stop()

    def advance(self, label: str, done: int, total: int) -> None:
        """Redraw the bar. Ctrl-C arrives as KeyboardInterrupt, which `cli` treats as a cancel."""
        self._bar.update(self._task, description=label, completed=done, total=total)

    def warn(self, message: str) -> None:
        """Print the message above the bar."""
        self._console.print(f"Warning: {message}", highlight=False)
