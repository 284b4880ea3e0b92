"""The command `microsr`: the same jobs as the widgets, from the side. One module per group of commands."""

import sys

from cyclopts import CycloptsError

# An import adds the module's commands to the app.
from napari_microsr.cli import (  # noqa: F401
    demo,
    evaluate,
    export,
    jobs,
    registration,
    smlm,
    superres,
    training_data,
)
from napari_microsr.cli.console import app
from napari_microsr.core.progress import Cancelled
from napari_microsr.errors import MicroSRError

__all__ = ["CANCELLED", "DONE", "FAILED", "WRONG_USAGE", "app", "execute", "main"]

DONE, FAILED, WRONG_USAGE, CANCELLED = 0, 1, 2, 130


def main() -> None:
    """Run the command and leave with its exit status."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Run the command line `arguments` and return the exit status."""
    try:
        app(arguments, exit_on_error=False)
    except CycloptsError:
        return WRONG_USAGE
    except MicroSRError as error:
        print(f"microsr: {error}", file=sys.stderr)
        return FAILED
    except (Cancelled, KeyboardInterrupt) as stop:
        text = str(stop) or "cancelled."
        print(f"microsr: {text}", file=sys.stderr)
        return CANCELLED
    return DONE
