"""Whether an image is still the one that a run began with."""

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError


def check_unchanged(source: ImageSource, fingerprint: str) -> None:
    """Refuse a result that was computed from an image while this was replaced or edited.

    Raises
    ------
    InputError
        If the image is not that of the fingerprint any more.
    """
    if source.fingerprint() != fingerprint:
        raise InputError(
            f"{source.path or source.name} was changed while it was read: the result mixes both versions.",
            "Leave the image alone and run again with restart.",
        )
