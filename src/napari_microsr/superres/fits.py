"""Whether a network and the patches of a training go together; told before the first step."""

import torch
from torch import nn

from napari_microsr.errors import JobError
from napari_microsr.superres.datasets import TrainingData
from napari_microsr.superres.networks.conditioned import ConditionedResidual


def check_fits(network: nn.Module, data: TrainingData) -> None:
    """Run a network on one patch.

    Parameters
    ----------
    network : nn.Module
        As built; stays as it is.
    data : TrainingData
        Its `pairs`.

    Raises
    ------
    JobError
        If it does not take the patch, or returns another size than that of the sharp one.
    """
    told, condition = isinstance(network, ConditionedResidual), data.options.condition
    if told != condition:
        raise JobError(
            f"The network {'is' if told else 'is not'} conditioned, and condition is {condition}.",
            f"Set condition: {str(told).lower()}, or take another architecture.",
        )
    low, high = data.pairs[0]
    channels, side = low.shape[:2]
    training = network.training
    try:
        with torch.inference_mode():
            result = network.eval()(low[None])[0]
    except (RuntimeError, ValueError) as error:
        fault = " ".join(str(error).split())[:200]
        raise JobError(
            f"The network does not take patches of {side} pixels and {channels} channels ({fault}).",
            "Correct patch_px or the network's arguments.",
        ) from error
    finally:
        network.train(training)
    if result.shape != high.shape:
        raise JobError(
            f"The network makes {result.shape[1]} pixels of {side}, and sharp patches have {high.shape[1]}.",
            "Give the job and the network's arguments the same factor, or a degradation on the same grid.",
        )
