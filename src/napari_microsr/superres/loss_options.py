"""The settings that say what a network is trained to make small."""

from typing import Literal, Self

from pydantic import Field, model_validator

from napari_microsr.core.job import Job


class LossOptions(Job):
    """Settings of the loss: a sum of terms, each with its weight; a term of weight 0 is left out."""

    loss: str = "charbonnier"
    """Pixel loss: charbonnier, l1 or mse."""
    pixel_weight: float = Field(default=1.0, ge=0)
    """Of the pixel loss."""
    ssim_weight: float = Field(default=0.0, ge=0)
    """Of 1 - SSIM (11 px Gaussian window)."""
    tv_weight: float = Field(default=0.0, ge=0)
    """Of the total variation of the result: the squared differences of neighbouring pixels."""
    content_weight: float = Field(default=0.0, ge=0)
    """Of the difference between features of result and truth."""
    content_network: str = "minivgg-fluorescence"
    """What gives the features: id or path of a trained minivgg, or mobilenet-v2 (needs torchvision)."""
    content_layers: tuple[str, ...] = ()
    """Its layers whose features are compared; empty takes 1b, 2b, 3d, 4d, 5d (of mobilenet-v2: 18)."""
    content_scale: Literal["mean", "sum"] = "mean"
    """Mean over the features, then over the layers; or their sum per pixel of the image, as mSRGAN has it."""
    adversarial_weight: float = Field(default=0.0, ge=0)
    """Of what a discriminator, trained along, says of the result."""
    adversarial: Literal["least-squares", "bce", "wgan-gp"] = "least-squares"
    """Loss of the two adversaries."""
    discriminator: str = "srgan"
    """Network that tells results from truths: srgan, unet or swift."""
    discriminator_rate: float = Field(default=1e-4, gt=0)
    """Highest learning rate of the discriminator."""
    critic_steps: int = Field(default=1, ge=1)
    """Steps of the discriminator, each with patches of its own, per step of the network; 5 suits wgan-gp."""
    gradient_penalty: float = Field(default=10.0, ge=0)
    """Weight of wgan-gp's penalty."""

    @model_validator(mode="after")
    def _some_truth(self) -> Self:
        if not self.pixel_weight + self.ssim_weight + self.content_weight + self.adversarial_weight:
            raise ValueError(
                "one of pixel_weight, ssim_weight, content_weight, adversarial_weight must be > 0"
            )
        return self
