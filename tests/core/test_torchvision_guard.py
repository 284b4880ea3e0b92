"""Training works where the installed torchvision was built for another torch."""

import os
import subprocess
import sys

BROKEN = 'raise RuntimeError("operator torchvision::nms does not exist")'
PROGRAM = """
import napari_microsr.core.training, napari_microsr.superres.losses
try:
    import torchvision
except RuntimeError as error:
    print(error)
"""


def test_a_broken_torchvision_is_hidden_from_lightning_and_from_nobody_else(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(BROKEN)
    # Lightning looks at what is installed, not at what can be imported.
    (tmp_path / "torchvision-0.28.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n"
    (tmp_path / "torchvision-0.28.0.dist-info" / "METADATA").write_text(metadata)
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "operator torchvision::nms does not exist"
