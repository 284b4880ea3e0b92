"""Registration, super-resolution and single-molecule localisation for microscopy.

Nothing heavy is imported before it is used: the names below load their modules on first access.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("napari-microsr")

_PUBLIC = {
    "BatchJob": "batch.job",
    "EvaluateJob": "superres.evaluate_job",
    "ImageSource": "core.image",
    "Localizations": "smlm.localizations",
    "LocalizeJob": "smlm.job",
    "MergeJob": "registration.merge",
    "MicroSRError": "errors",
    "PairsJob": "registration.pairs",
    "RegisterJob": "registration.job",
    "UpscaleJob": "superres.job",
    "evaluate": "superres.evaluate_job",
    "export_pairs": "registration.pairs",
    "localize": "smlm.job",
    "merge": "registration.merge",
    "open_image": "core.image",
    "read_placements": "registration.formats",
    "register": "registration.job",
    "run_batch": "batch.run",
    "upscale": "superres.job",
    "write_placements": "registration.formats",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
