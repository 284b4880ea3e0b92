"""Images and results in object stores and on web servers: places named by a URL, through fsspec.

A URL never holds a secret: credentials come from where the store's own tools look for them (environment,
profile, the machine's role), on each computer by itself. So no job, log or result can give them away.
"""

import importlib.util
import os
import re
from pathlib import Path
from typing import Any, cast

from napari_microsr.errors import InputError, JobError, OutputError

#: Where an object is complete as soon as it is there, which a resumable result needs.
OBJECT_STORES = ("s3", "gs", "gcs", "az", "abfs", "memory")

# pathlib makes one slash of two; a drive of Windows has one letter.
_URL = re.compile(r"(?P<kind>[a-z][a-z0-9+.-]+):/(?P<second>/?)(?P<rest>.*)", re.DOTALL | re.IGNORECASE)


def is_url(place: object) -> bool:
    """Say whether a text or path names a place by URL, also where pathlib took a slash from it."""
    return bool(_URL.fullmatch(str(place)))


def is_remote(path: Path) -> bool:
    """Say whether a place, as `place_of` returns it, is not a file of this computer."""
    return not isinstance(path, Path)


def place_of(place: str | os.PathLike[str]) -> Path:
    """Return a path, or what acts like one where a URL is given.

    Parameters
    ----------
    place : path-like
        A path, or a URL such as ``s3://bucket/slide.ome.zarr`` or ``https://host/slide.tif``.

    Returns
    -------
    pathlib.Path or upath.UPath
        The latter has the methods of a path.

    Raises
    ------
    JobError
        If a URL holds credentials.
    InputError
        If what reaches such places is not installed.
    """
    if hasattr(place, "fs"):
        return cast(Path, place)
    match = _URL.fullmatch(str(place))
    if match is None:
        return Path(place)
    refuse_secrets(str(place))
    kind = match["kind"].lower()
    if kind == "file":
        return Path("/" + match["rest"].lstrip("/"))
    if importlib.util.find_spec("upath") is None:
        raise InputError(
            f"{kind}:// cannot be reached: a package is not installed.",
            "Install it with: pip install 'napari-microsr[remote]'.",
        )
    from upath import UPath

    try:
        path = UPath(f"{kind}://{match['rest']}")
        _ = path.fs  # its package is imported only now
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{kind}:// cannot be reached ({error}).", "Install the fsspec package of that kind of store."
        ) from error
    return cast(Path, path)


def refuse_secrets(text: str) -> None:
    """Refuse a URL that holds a user's name and password, a key, or a signature.

    Raises
    ------
    JobError
        It does not repeat them.
    """
    match = _URL.fullmatch(text)
    if match is None or match["kind"].lower() == "file":
        return
    host, *_ = re.split(r"[/?#]", match["rest"], maxsplit=1)
    if "@" in host or re.search(r"[?#;]", match["rest"]):
        name = f"{match['kind']}://{host.rpartition('@')[2]}"
        raise JobError(
            f"The URL of {name} holds a user name, a password, a signature or another parameter.",
            "Leave it out: credentials are taken from the environment or the profile of the store's tools.",
        )


def check_writable(path: Path) -> None:
    """Refuse an output at a URL of a kind where a half-written file could pass for a whole one.

    Raises
    ------
    OutputError
    """
    kind = getattr(path, "protocol", "")
    if is_remote(path) and kind not in OBJECT_STORES:
        raise OutputError(
            f"Results cannot be written to {kind}://.",
            f"Give a path, or a URL of one of {', '.join(f'{name}://' for name in OBJECT_STORES)}.",
        )
    if is_remote(path) and re.search(r"[*\[\]]", str(path)):
        # fsspec takes them for patterns, also where it deletes.
        raise OutputError(f"The URL {path} has the characters * or [ ].", "Choose a name without them.")


def for_zarr(path: Path) -> Path | str:
    """Return a place as zarr takes it."""
    return str(path) if is_remote(path) else path


def read_bytes(path: Path) -> bytes:
    """Read a small file; of an object store as it is now, not as it was when it was last listed.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    if is_remote(path):
        found: Any = path
        return bytes(found.fs.cat_file(found.path))
    return path.read_bytes()


def forget_listing(path: Path) -> None:
    """Ask an object store anew what it holds, when it is asked next."""
    if is_remote(path):
        remote: Any = path
        remote.fs.invalidate_cache()


def stamp(path: Path) -> tuple[str, int, object]:
    """Return name, size and state of a file: other pixels have another one.

    An object store says what an object holds (ETag) or when it was written.
    """
    if is_remote(path):
        remote: Any = path
        info = remote.fs.info(remote.path)
        state = next((str(info[key]) for key in ("ETag", "etag", "mtime", "created") if key in info), "")
        return str(path), int(info["size"] or 0), state
    status = path.stat()
    return str(path.resolve()), status.st_size, status.st_mtime_ns
