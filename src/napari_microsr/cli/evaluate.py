"""Results against the truth: `microsr evaluate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from napari_microsr.cli.console import AsJson, Settings, app, do, report
from napari_microsr.core.job import Job
from napari_microsr.errors import JobError
from napari_microsr.smlm.evaluate_job import EvaluateTableJob, EvaluateTableOptions
from napari_microsr.superres.evaluate_job import EvaluateJob, EvaluateOptions

#: Ends of names that are tables of localisations.
_TABLES = (".csv", ".hdf5", ".h5", ".parquet")


@app.command
def evaluate(
    result: str,
    reference: str,
    /,
    *,
    csv: Path | None = None,
    images: Annotated[EvaluateOptions | None, Settings] = None,
    tables: Annotated[EvaluateTableOptions | None, Settings] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a result with the truth.

    Of images: PSNR, SSIM, MS-SSIM, relative MSE, GMSD, HaarPSI, spectrum and FRC, and beside the result what
    is simply made of its input. Of tables of localisations (.csv, .hdf5, .parquet): recall, precision,
    Jaccard index, RMSE and efficiency, and random places beside them.

    Parameters
    ----------
    result
        Image or table to judge.
    reference
        The truth, of the same kind.
    csv
        File for the figures, NAME.csv.
    images
        Settings for images.
    tables
        Settings for tables.
    """
    settings: dict[str, Any] = {"result": result, "reference": reference, "csv": csv}
    kinds = {path.lower().endswith(_TABLES) for path in (result, reference)}
    if len(kinds) == 2:
        raise JobError(
            f"Of {result} and {reference} one is a table and the other an image.",
            "Compare two images, or two tables of localisations.",
        )
    kind: type[Job] = EvaluateTableJob if kinds == {True} else EvaluateJob
    given, other = (tables, images) if kinds == {True} else (images, tables)
    if other is not None and other.model_fields_set:
        wrong = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(other.model_fields_set))
        raise JobError(
            f"{wrong} is not for {'tables' if kinds == {True} else 'images'}.", "Leave it out: see --help."
        )
    found = do(kind.parse({**settings, **(given.model_dump(exclude_unset=True) if given else {})}))
    if as_json:
        report(found, as_json)
        return
    print(_text(found["figures"], images=kinds == {False}))
    if found["outputs"]:
        report(found, as_json)


def _text(figures: Mapping[str, Mapping[str, float | None]], *, images: bool) -> str:
    if images:
        from napari_microsr.superres.report import from_json, table_text

        return table_text(from_json(figures))
    names = next(iter(figures.values()))
    rows = [["", *figures]]
    for name in names:
        rows.append([name, *(_number(row[name]) for row in figures.values())])
    return "\n".join("  ".join([row[0].ljust(14), *(cell.rjust(10) for cell in row[1:])]) for row in rows)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
