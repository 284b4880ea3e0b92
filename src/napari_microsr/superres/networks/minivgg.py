"""miniVGG: mSRGAN's classifier of protein localisation, whose features compare images.

Re-implemented from the layers of S. Gawande's master thesis work (KTH, TRITA-EECS-EX-2018:10): the
convolutions of VGG-19 (K. Simonyan and A. Zisserman, arXiv 1409.1556) with batch norm, for patches of 96 px.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from napari_microsr.superres.networks.parts import batch_norm, conv

#: Convolutions per level, and each level's channels in units of the first one's.
LEVELS = ((2, 1), (2, 2), (4, 4), (4, 8), (4, 8))
#: The last convolution of each level: the features of mSRGAN's content loss.
CONTENT_LAYERS = ("1b", "2b", "3d", "4d", "5d")
#: Channels of the two hidden layers in units of the first level's.
HIDDEN = 64
#: Side of the last level's features at 96 px.
GRID = 3


class MiniVGG(nn.Module):
    """A classifier of small images whose convolutions serve as features.

    Parameters
    ----------
    channels : int
        Channels of the image.
    classes : int
        The source has 13: where in a cell a protein is. 0 for features only.
    width : int
        Channels of the first level; all others follow. The source has 64 (55.7 million parameters); 8
        gives 0.9 million.
    """

    def __init__(self, channels: int = 3, classes: int = 13, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        inputs = channels
        for level, (count, scale) in enumerate(LEVELS, start=1):
            for letter in "abcd"[:count]:
                self.layers[f"{level}{letter}"] = nn.Sequential(
                    conv(inputs, scale * width), batch_norm(scale * width), nn.LeakyReLU(0.2)
                )
                inputs = scale * width
        # A last column or row stays where a size is odd, so that an image of any size has features.
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.classify = self._classifier(inputs, HIDDEN * width, classes) if classes else nn.Flatten()

    @staticmethod
    def _classifier(inputs: int, hidden: int, classes: int) -> nn.Sequential:
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(GRID),
            nn.Flatten(),
            nn.Linear(inputs * GRID**2, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, classes),
        )

    def features(self, x: Tensor, layers: Sequence[str] = CONTENT_LAYERS) -> list[Tensor]:
        """Return the features of images `x` (N, C, H, W) in [0, 1] of any size.

        Parameters
        ----------
        x : Tensor
            Images.
        layers : sequence of str
            Names of convolutions, "1a" to "5d"; the features are those after batch norm and activation.

        Returns
        -------
        list of Tensor
            One per layer, in the order of `layers`: (N, features, H/2^k, W/2^k), k pools before level k + 1.

        Raises
        ------
        KeyError
            If there is no such layer.
        """
        unknown = set(layers) - set(self.layers)
        if unknown:
            raise KeyError(f"{', '.join(sorted(unknown))}: the layers are {', '.join(self.layers)}")
        found: dict[str, Tensor] = {}
        out, level = 2 * x - 1, "1"
        for name, layer in self.layers.items():
            if len(found) == len(set(layers)):
                break
            if name[0] != level:
                out, level = self.pool(out), name[0]
            out = layer(out)
            if name in layers:
                found[name] = out
        return [found[name] for name in layers]

    def forward(self, x: Tensor) -> Tensor:
        """Return the classes' logits (N, classes) of images `x` (N, C, H, W) in [0, 1]; features without."""
        (last,) = self.features(x, CONTENT_LAYERS[-1:])
        out: Tensor = self.classify(self.pool(last))
        return out
