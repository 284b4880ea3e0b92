"""What the jobs on a table of localisations have in common."""

from pathlib import Path

from pydantic import Field

from napari_microsr.core.job import Job
from napari_microsr.errors import InputError
from napari_microsr.smlm.localizations import Localizations


class TableJob(Job):
    """Settings of a job that begins with a table."""

    table: Path
    """Localisations: NAME.csv (ThunderSTORM), NAME.hdf5 (Picasso) or NAME.parquet."""
    output: Path | None = None
    """What is written; each job says what. Declared here to be the command's second argument."""
    camera_pixel_nm: float | None = Field(default=None, gt=0)
    """Size of a camera pixel in nm; empty takes the table's own."""
    keep: str = ""
    """Which localisations are used, for example: photons > 300 and uncertainty_nm < 25. Empty uses all."""

    def read(self) -> Localizations:
        """Read the table and choose its rows.

        Raises
        ------
        InputError
            If it cannot be read, or nothing is left.
        JobError
            If the choice cannot be understood.
        """
        from napari_microsr.smlm.filters import by_expression
        from napari_microsr.smlm.formats import Field as Known
        from napari_microsr.smlm.formats import read_table

        table = read_table(self.table, Known(pixel_nm=self.camera_pixel_nm))
        chosen = table.select(by_expression(table, self.keep)) if self.keep else table
        if not len(chosen):
            chosen_of = f"None of the {len(table)} localisations" if self.keep else "No localisation"
            raise InputError(f"{chosen_of} of {self.table} is left.", "Choose other rows or another table.")
        return chosen
