"""Whether a result may be written where it was asked for, and what to say when writing fails."""

import contextlib
import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, ValidatorFunctionWrapHandler, WrapValidator

from napari_microsr.core.journal import JOURNAL
from napari_microsr.core.progress import Cancelled
from napari_microsr.core.remote import check_writable, forget_listing, is_remote, is_url, place_of, read_bytes
from napari_microsr.errors import MicroSRError, OutputError


def store_name(path: Path) -> Path:
    """Return the path of an OME-Zarr store: one that is named otherwise gets the ending.

    Inside another store, such as a plate's, a name has none.
    """
    return path if names_store(path) else path.with_name(path.name + ".ome.zarr")


def names_store(path: Path) -> bool:
    """Say whether a path is that of a store, or lies in one."""
    return path.suffix == ".zarr" or inside_store(path)


def inside_store(path: Path) -> bool:
    """Say whether a path lies in a store, as the images of a plate do."""
    return any(parent.suffix == ".zarr" for parent in path.parents)


def _store_place(given: Any, validate: ValidatorFunctionWrapHandler) -> Path:
    place = place_of(given) if is_url(given) else validate(given)
    check_writable(place)
    return store_name(place)


#: Field of a job whose output is a store: a path, or a URL of an object store.
StorePath = Annotated[Path, WrapValidator(_store_place), PlainSerializer(str, when_used="json")]


def check_free(path: Path, *, restart: bool | None) -> None:
    """Refuse an output that is there already, unless it is to be replaced (None: it cannot be).

    Raises
    ------
    OutputError
    """
    if is_there(path) and not restart:
        remedy = "remove it" if restart is None else "restart to replace it"
        raise OutputError(f"{path} exists already.", f"Give another output, or {remedy}.")


def check_output(path: Path, *, restart: bool) -> None:
    """Refuse an output that is finished, is not ours to replace, or has another type.

    Raises
    ------
    OutputError
    """
    if not names_store(path):
        raise OutputError(
            f"The output {path} is not an OME-Zarr name.", "Give a name that ends in .ome.zarr."
        )
    if not is_remote(path) and made_here(path):
        with contextlib.suppress(OSError):  # there is one if a run was killed after its last step
            (path / JOURNAL).unlink()
    check_free(path, restart=restart)
    if is_there(path) and not made_here(path):
        raise OutputError(
            f"{path} was not written by napari-microsr and is not replaced.",
            "Give another output, or move it away yourself.",
        )


def is_there(path: Path) -> bool:
    """Say whether an output is there; in an object store one that is complete, its metadata come last."""
    if is_remote(path):
        forget_listing(path)
        return (path / "zarr.json").exists() if names_store(path) else path.exists()
    return path.exists()


def made_here(path: Path) -> bool:
    """Say whether a folder is a store that this package wrote."""
    try:
        attributes = json.loads(read_bytes(path / "zarr.json"))["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return "microsr" in attributes


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a name beside a file under which to write it; the file gets its own when it is complete.

    So nobody ever sees a part of it, a kill leaves what was there before, and an error leaves nothing more.
    The ending is kept: some libraries go by it.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure of the file system into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OutputError(
                f"The disk is full while writing {path}.",
                "Free some space and run the same command again.",
            ) from error
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}).",
            "Check that the folder exists and may be written, or give another output.",
        ) from error
    except (MicroSRError, Cancelled):
        raise
    except Exception as error:
        if not is_remote(path):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise OutputError(
            f"{path} cannot be written ({reason}).",
            "Check the connection, the address and the credentials; the same command then goes on.",
        ) from error
