"""Every task that a job file or a command can name: its settings, and what does it."""

from collections.abc import Callable
from typing import Any

from napari_microsr.core.epoch import Watch
from napari_microsr.core.job import Job
from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError, JobError
from napari_microsr.registration.job import RegisterJob
from napari_microsr.registration.merge import MergeJob
from napari_microsr.registration.pairs import PairsJob
from napari_microsr.smlm.drift_job import DriftJob
from napari_microsr.smlm.evaluate_job import EvaluateTableJob
from napari_microsr.smlm.frc_job import FrcJob
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.render_job import RenderJob
from napari_microsr.smlm.simulate_job import SimulateJob
from napari_microsr.smlm.training import TrainDsirJob, TrainLocalizerJob
from napari_microsr.superres.degradation_job import DegradationJob
from napari_microsr.superres.evaluate_job import EvaluateJob
from napari_microsr.superres.exchange import ExportModelJob
from napari_microsr.superres.feature_job import TrainFeaturesJob
from napari_microsr.superres.job import UpscaleJob
from napari_microsr.superres.prepare_job import PrepareJob
from napari_microsr.superres.training import TrainJob

Result = dict[str, Any]


def perform(job: Job, progress: Progress, **options: Any) -> Result:
    """Do a job.

    Parameters
    ----------
    job : Job
        Of one of `TASKS`.
    progress : Progress
        Told how far it is.
    **options
        Of a training: `resume` and `watch`.

    Returns
    -------
    dict
        `task`, `outputs` (the files and folders written), and the figures of the task.

    Raises
    ------
    MicroSRError
        As the task says, and if a file or folder on its way may not be read.
    """
    _, do = TASKS[job.task]
    try:
        result = do(job, progress, **options)
    except PermissionError as error:
        raise InputError(
            f"{error.filename} may not be read.", "Ask for the right to read it, or choose other files."
        ) from error
    return {"task": job.task, **result, "outputs": [str(path) for path in result["outputs"]]}


def _upscale(job: UpscaleJob, progress: Progress) -> Result:
    from napari_microsr.superres.job import upscale

    return {"outputs": upscale(job, progress=progress)}


def _register(job: RegisterJob, progress: Progress) -> Result:
    from napari_microsr.registration.formats.placements_json import to_document
    from napari_microsr.registration.job import register

    placements = register(job, progress=progress)
    for field in placements.fields:
        if field.status != "placed":
            progress.warn(f"{field.name}: {field.status.replace('_', ' ')}. {field.reason}")
    return {"outputs": [job.output], **to_document(placements)}


def _export_model(job: ExportModelJob, progress: Progress) -> Result:
    from napari_microsr.superres.exchange import export_model

    return {"outputs": [export_model(job, progress=progress)]}


def _merge(job: MergeJob, progress: Progress) -> Result:
    from napari_microsr.registration.merge import merge

    return {"outputs": [merge(job, progress=progress)]}


def _pairs(job: PairsJob, progress: Progress) -> Result:
    from napari_microsr.registration.pairs import export_pairs

    return {"outputs": [export_pairs(job, progress=progress)]}


def _localize(job: LocalizeJob, progress: Progress) -> Result:
    from napari_microsr.smlm.draw_job import draw_image, draws_image
    from napari_microsr.smlm.job import localize

    if draws_image(job.model):
        if job.cluster is not None:
            raise JobError(f"{job.model} draws on one computer only.", "Leave the cluster out.")
        return {"outputs": [draw_image(job, progress=progress)]}
    return {"localizations": len(localize(job, progress=progress)), "outputs": [job.output]}


def _render(job: RenderJob, progress: Progress) -> Result:
    from napari_microsr.smlm.render_job import render

    return {"outputs": [render(job, progress=progress)]}


def _drift(job: DriftJob, progress: Progress) -> Result:
    from napari_microsr.smlm.drift_job import correct_drift

    correct_drift(job, progress=progress)
    return {"outputs": [job.output, job.curve]}


def _frc(job: FrcJob, progress: Progress) -> Result:
    from napari_microsr.smlm.frc_job import measure_resolution

    figures = measure_resolution(job, progress=progress)
    return {"outputs": [job.output] if job.output else [], **figures}


def _evaluate(job: EvaluateJob, progress: Progress) -> Result:
    from napari_microsr.superres.evaluate_job import evaluate

    return {"outputs": job.outputs, **evaluate(job, progress=progress).as_dict()}


def _evaluate_table(job: EvaluateTableJob, progress: Progress) -> Result:
    from napari_microsr.smlm.evaluate_job import evaluate_table

    return {"outputs": [job.csv] if job.csv else [], **evaluate_table(job, progress=progress)}


def _simulate(job: SimulateJob, progress: Progress) -> Result:
    from napari_microsr.smlm.simulate_job import simulate

    simulate(job, progress=progress)
    return {"outputs": [job.output, job.truth]}


def _prepare(job: PrepareJob, progress: Progress) -> Result:
    from napari_microsr.superres.prepare_job import prepare

    return {"outputs": [prepare(job, progress)]}


def _degradation(job: DegradationJob, progress: Progress) -> Result:
    from napari_microsr.superres.degradation_job import measure

    return {"outputs": [], **measure(job, progress)}


def _train(job: TrainJob, progress: Progress, resume: bool = False, watch: Watch | None = None) -> Result:
    from napari_microsr.superres.training import train

    weights = train(job, progress, resume, watch)
    return {"outputs": [weights, weights.with_suffix(".json")]}


def _train_features(
    job: TrainFeaturesJob, progress: Progress, resume: bool = False, watch: Watch | None = None
) -> Result:
    from napari_microsr.superres.feature_job import train_features

    weights = train_features(job, progress, resume, watch)
    return {"outputs": [weights, weights.with_suffix(".json")]}


def _train_localizer(
    job: TrainLocalizerJob, progress: Progress, resume: bool = False, watch: Watch | None = None
) -> Result:
    from napari_microsr.smlm.training import train_localizer

    weights = train_localizer(job, progress, resume, watch)
    return {"outputs": [weights, weights.with_suffix(".json")]}


def _train_dsir(
    job: TrainDsirJob, progress: Progress, resume: bool = False, watch: Watch | None = None
) -> Result:
    from napari_microsr.smlm.dsir import train_dsir

    weights = train_dsir(job, progress, resume, watch)
    return {"outputs": [weights, weights.with_suffix(".json")]}


TRAININGS: dict[str, tuple[type[Job], Callable[..., Result]]] = {
    TrainJob.task: (TrainJob, _train),
    TrainFeaturesJob.task: (TrainFeaturesJob, _train_features),
    TrainLocalizerJob.task: (TrainLocalizerJob, _train_localizer),
    TrainDsirJob.task: (TrainDsirJob, _train_dsir),
}
TASKS: dict[str, tuple[type[Job], Callable[..., Result]]] = {
    UpscaleJob.task: (UpscaleJob, _upscale),
    ExportModelJob.task: (ExportModelJob, _export_model),
    RegisterJob.task: (RegisterJob, _register),
    MergeJob.task: (MergeJob, _merge),
    PairsJob.task: (PairsJob, _pairs),
    LocalizeJob.task: (LocalizeJob, _localize),
    RenderJob.task: (RenderJob, _render),
    DriftJob.task: (DriftJob, _drift),
    FrcJob.task: (FrcJob, _frc),
    SimulateJob.task: (SimulateJob, _simulate),
    EvaluateJob.task: (EvaluateJob, _evaluate),
    EvaluateTableJob.task: (EvaluateTableJob, _evaluate_table),
    PrepareJob.task: (PrepareJob, _prepare),
    DegradationJob.task: (DegradationJob, _degradation),
    **TRAININGS,
}
