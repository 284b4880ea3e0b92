"""What the user chose last, kept as JSON in the user's configuration folder."""

import json
import os
from pathlib import Path
from typing import Any

from qtpy.QtCore import QStandardPaths

from napari_microsr.core.output import whole


def settings_file(task: str) -> Path:
    """Return where the settings of a task are kept."""
    home = os.environ.get("MICROSR_HOME")
    if home:
        return Path(home).expanduser() / f"{task}.json"
    folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericConfigLocation)
    return Path(folder) / "napari-microsr" / f"{task}.json"


def load_settings(task: str) -> dict[str, Any]:
    """Return the settings of the last run; empty where there are none that can be read."""
    try:
        settings = json.loads(settings_file(task).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def save_settings(task: str, settings: dict[str, Any]) -> None:
    """Keep settings for the next time; a folder that cannot be written costs only the memory of them."""
    path = settings_file(task)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            partial.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    except OSError:
        return
