"""The page that says how a run went: one file with pictures, figures, warnings and failures."""

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TextIO

from napari_microsr import __version__
from napari_microsr.batch.manifest import ItemState
from napari_microsr.batch.thumbnail import thumbnail
from napari_microsr.core.output import whole, writing

REPORT = "report.html"

# Nothing is loaded and nothing runs: the page can be sent to anybody.
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .4em .7em; border-bottom: 1px solid #8884; }}
img {{ max-width: 160px; max-height: 160px; image-rendering: pixelated; }}
.failed td {{ background: #c0392b22; }} .warning {{ color: #9a6700; }}
.small {{ font-size: .85em; opacity: .75; }}
</style></head><body>
<h1>{title}</h1>
"""


def write_report(folder: Path, title: str, states: Sequence[ItemState]) -> Path:
    """Write `report.html` and return its path; failures come first.

    Parameters
    ----------
    folder : Path
        The run folder.
    title : str
        Of the page.
    states : sequence of ItemState
        The end of each input.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    path = folder / REPORT
    with writing(path), whole(path) as partial, partial.open("w", encoding="utf-8") as page:
        _write(page, title, sorted(states, key=lambda state: state.state == "done"))
    return path


def _write(page: TextIO, title: str, states: Sequence[ItemState]) -> None:
    """Write row by row, so that no more than one picture is in memory."""
    counts = Counter(state.state for state in states)
    seconds = sum(state.seconds for state in states)
    said = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no inputs"
    page.write(_HEAD.format(title=escape(title)))
    page.write(
        f"<p>{len(states)} inputs: {said}; {seconds:.0f} s; napari-microsr {escape(__version__)}.</p>\n"
    )
    page.write("<table><tr><th>result</th><th>input</th><th>state</th><th>figures and notes</th></tr>\n")
    for state in states:
        page.write("".join(_row(state)))
    page.write("</table></body></html>\n")


def _row(state: ItemState) -> Iterator[str]:
    picture = thumbnail(state.outputs[0]) if state.state == "done" and state.outputs else None
    yield f'<tr class="{escape(state.state)}"><td>'
    if picture is not None:
        data = base64.b64encode(picture).decode()
        yield f'<img alt="{escape(state.key)}" src="data:image/jpeg;base64,{data}">'
    known = ", ".join(f"{name} {value}" for name, value in state.group.items())
    yield f'</td><td>{escape(state.key)}<br><span class="small">{escape(known)}<br>'
    yield f"{escape(state.source)}</span>"
    yield f"</td><td>{escape(state.state)}<br>{state.seconds:.1f} s</td><td>"
    if state.error:
        yield f"<b>{escape(state.error)}</b> {escape(state.remedy)}<br>"
    for name, value in state.figures.items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        yield f"{escape(str(name))}: {escape(shown)}<br>"
    for warning in state.warnings:
        yield f'<span class="warning">{escape(warning)}</span><br>'
    if state.model:
        model = " ".join(filter(None, (state.model.get("id"), state.model.get("sha256", "")[:12])))
        yield f'<span class="small">{escape(state.task)}, {escape(model)}, {escape(state.version)}</span>'
    yield "</td></tr>\n"
