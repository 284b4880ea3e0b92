"""The one family of errors that a user can cause: a sentence of cause and a sentence of remedy."""


class MicroSRError(Exception):
    """An error that the user can do something about.

    Never a RuntimeError: napari's generator workers swallow those, and every torch error is one.

    Parameters
    ----------
    cause : str
        One sentence that says what is wrong, with the names and numbers involved.
    remedy : str
        One sentence that says what to do about it.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause} {remedy}")
        self.cause = cause
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["MicroSRError"], tuple[str, str]]:
        # Errors cross process borders when a run is distributed.
        return type(self), (self.cause, self.remedy)


class InputError(MicroSRError):
    """The input image cannot be read or does not suit the task."""


class OutputError(MicroSRError):
    """The result cannot be written where it was asked for."""


class ModelError(MicroSRError):
    """A model or its weights are missing, damaged or unsuitable."""


class DeviceError(MicroSRError):
    """The computing device is missing or too small."""


class JobError(MicroSRError):
    """The settings of a job are wrong."""


class ClusterError(MicroSRError):
    """The computers that share a run fail or cannot be reached."""


class BatchError(MicroSRError):
    """Some items of a batch failed; the others are done."""
