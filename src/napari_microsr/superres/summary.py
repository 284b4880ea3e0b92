"""The numbers that are kept with a result, in words; without torch, for whoever only shows them."""

import json
from pathlib import Path
from typing import Any


def read_evidence(store: Path) -> dict[str, Any]:
    """Return the numbers that a finished store holds, as `note_evidence` wrote them; empty if none."""
    attributes: dict[str, Any] = json.loads((store / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    found: dict[str, Any] = attributes["microsr"].get("evidence", {})
    return found


def describe(evidence: dict[str, Any]) -> list[str]:
    """Say what the numbers of `note_evidence` mean, one sentence each."""
    sentences = []
    if (found := evidence.get("consistency")) is not None:
        sentences.append(
            f"Reduced again, the result is {found['rms']:.3g} grey levels (rms, {found['rms_percent']:.2g} % "
            f"of the range) from the input; {found['baseline']} {found['baseline_rms']:.3g}."
        )
    if (found := evidence.get("disagreement")) is not None:
        sentences.append(
            f"Disagreement with {', '.join(found['with'])}: {found['rms']:.3g} grey levels (rms, "
            f"{found['rms_percent']:.2g} % of the range)."
        )
    return sentences
