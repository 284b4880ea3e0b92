"""What the reference pages get from the code when the site is built, so that nothing is written twice.

A line `<!-- generated: NAME -->` in a page is replaced by what the function of that name returns.
`python docs/hooks.py` puts the figures of the model cards into the README, which no build step fills.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from cyclopts.docs.markdown import generate_markdown_docs
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import napari_microsr
from napari_microsr.batch.perform import JOBS
from napari_microsr.cli import app
from napari_microsr.core.weights import Metric, ModelCard, Score, list_cards

MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
MANIFEST = Path(napari_microsr.__file__).parent / "napari.yaml"
WORDS = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}
TILE_PX = 512
README = Path(__file__).parent.parent / "README.md"
IN_README = re.compile(r"(?<=<!-- networks -->\n).*?(?=<!-- /networks -->)", re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill a page's markers (called by mkdocs)."""
    return MARKER.sub(lambda marker: GENERATED[marker[1]](), markdown)


def command() -> str:
    """Every subcommand with its options, from the command itself."""
    return str(
        generate_markdown_docs(
            app, no_root_title=True, skip_preamble=True, generate_toc=False, usage_name="microsr"
        )
    )


def jobs() -> str:
    """One table per task, from its Job class."""
    parts = []
    for task, kind in JOBS.items():
        rows = [
            (
                f"`{name}`",
                _type(field),
                _default(field),
                _sentence(field),
                "no" if name in kind.execution_fields else "yes",
            )
            for name, field in kind.model_fields.items()
        ]
        head = ("field", "type", "default", "meaning", "changes the result")
        parts += [f"## task: {task}", kind.__doc__ or "", table(head, rows)]
    return "\n\n".join(parts)


def manifest() -> str:
    """What napari offers once the package is installed, from the manifest."""
    contributions = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["contributions"]
    titles = {command["id"]: command["title"] for command in contributions["commands"]}
    parts = []
    for kind, entries in contributions.items():
        if kind in ("commands", "menus"):
            continue
        rows = [(_label(entry), titles.get(entry.get("command", ""), ""), _rest(entry)) for entry in entries]
        head: tuple[str, ...] = ("name", "what it does", "details")
        if not any(details for _, _, details in rows):
            head, rows = head[:2], [row[:2] for row in rows]
        parts += [f"## {kind.replace('_', ' ').capitalize()}", table(head, rows)]
    if menus := contributions.get("menus"):
        rows = [
            (f"`{menu}`", titles[entry["command"]]) for menu, entries in menus.items() for entry in entries
        ]
        parts += ["## Menus", table(("menu", "entry"), rows)]
    parts += ["## Commands", table(("id", "title"), [(f"`{i}`", title) for i, title in titles.items()])]
    return "\n\n".join(parts)


def models() -> str:
    """Every installed model, from its card, and what the fields of a card mean."""
    rows = [(f"`{name}`", _sentence(field)) for name, field in ModelCard.model_fields.items()]
    cards = [_card(card) for card in list_cards()]
    return "\n\n".join([*cards, "## The fields of a card", table(("field", "meaning"), rows)])


def networks() -> str:
    """The figures of every model that has some, one line each; the README holds a copy."""
    head = ("model", "factor", "for", "images", "PSNR, dB / SSIM", "beside it")
    rows = [
        (
            f"`{card.id}`",
            "same size" if card.factor == 1 else f"x{card.factor}",
            card.summary,
            *_figures(card.metrics[0])[1:],
        )
        for card in list_cards()
        if card.metrics
    ]
    return table(head, rows)


def halos() -> str:
    """Rows that say what the halo of each model costs at a tile of `TILE_PX`."""
    rows = []
    for card in list_cards():
        halo = -(-card.halo_px // card.multiple_of) * card.multiple_of
        extra = ((TILE_PX + 2 * halo) / TILE_PX) ** 2 - 1
        rows.append((f"`{card.id}`", str(card.halo_px), str(card.multiple_of), f"{extra:.0%}"))
    return "\n".join(_row(row) for row in rows)


GENERATED: dict[str, Callable[[], str]] = {
    part.__name__: part for part in (command, jobs, manifest, models, networks, halos)
}


def fill_readme() -> None:
    """Put the present figures into the README."""
    text = README.read_text(encoding="utf-8")
    README.write_text(IN_README.sub(lambda _: networks() + "\n", text), encoding="utf-8")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    return "\n".join([_row(head), _row(("---",) * len(head)), *map(_row, rows)])


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _card(card: ModelCard) -> str:
    told = ("id", "summary", "metrics", "trained_on", "limits")
    values = {name: getattr(card, name) for name in ModelCard.model_fields if name not in told}
    simple = [(f"`{name}`", _value(value)) for name, value in values.items() if value is not None]
    parts = [f"## {card.id}", card.summary]
    if card.limits:
        parts += [f"**Limits.** {card.limits}"]
    if card.metrics:
        head = ("slides", "images", "PSNR, dB / SSIM", "beside it")
        parts += ["**Figures** on images that it was not trained on:"]
        parts += [table(head, [_figures(metric) for metric in card.metrics])]
    if card.trained_on:
        rows = [(d.source, d.licence, d.credit, str(d.images), f"{d.mpx:g}") for d in card.trained_on]
        parts += ["**Trained on**", table(("what", "licence", "credit", "images", "Mpx"), rows)]
    return "\n\n".join([*parts, "**Card**", table(("field", "value"), simple)])


def _figures(metric: Metric) -> tuple[str, str, str, str]:
    beside = "; ".join(f"{name} {_score(score)}" for name, score in metric.baselines.items())
    return metric.data, str(metric.n), _score(metric.model), beside


def _score(score: Score) -> str:
    return f"{score.psnr_db:.2f} / {score.ssim:.4f}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " to ".join(f"{number:g}" for number in value)
    return f"`{json.dumps(value)}`" if isinstance(value, dict) else str(value)


def _sentence(field: FieldInfo) -> str:
    return field.description or ""


def _type(field: FieldInfo) -> str:
    """Say what a field takes, in words."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = [
        f"{sign} {getattr(part, key)}"
        for part in field.metadata
        for key, sign in signs.items()
        if hasattr(part, key)
    ]
    return ", ".join([_kind(field.annotation), *limits])


def _kind(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in parts)
    if origin in (Union, UnionType):
        return " or ".join(_kind(part) for part in parts if part is not NoneType)
    if origin in (list, tuple):
        return f"list of {_kind(parts[0])}"
    if origin is dict:
        return "table"
    if annotation is Any:
        return "anything"
    if issubclass(annotation, BaseModel):
        return "table of " + ", ".join(f"`{name}`" for name in annotation.model_fields)
    return WORDS[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    return f"`{json.dumps(default, default=str)}`" if default or default == 0 else "empty"


def _label(entry: dict[str, Any]) -> str:
    return str(entry.get("display_name", ""))


def _rest(entry: dict[str, Any]) -> str:
    known = ("command", "display_name", "key", "autogenerate")
    return ", ".join(f"{key}: `{json.dumps(value)}`" for key, value in entry.items() if key not in known)


if __name__ == "__main__":
    fill_readme()
