"""The documentation is true: its code runs, its commands and jobs parse, its links lead somewhere."""

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from napari_microsr.batch.perform import JOBS
from napari_microsr.cli import app
from napari_microsr.core.job import Job
from napari_microsr.core.weights import list_cards

ROOT = Path(__file__).parent.parent
SITE = Path(sys.executable).with_name("mkdocs")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "recipes").glob("*.md")])
BLOCK = re.compile(
    r"^(?P<note><!-- not run.*-->\n)? *```(?P<language>\w+)\n(?P<code>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)")
PROMISED = [
    'python3 -m venv .venv && .venv/bin/pip install -c constraints.txt ".[all]" && .venv/bin/microsr demo',
    'python3 -m venv .venv && .venv/bin/pip install -c constraints.txt ".[all,test]" && .venv/bin/pytest',
]


def blocks(page, language):
    """Code blocks of a page that are meant to run or parse."""
    found = [m for m in BLOCK.finditer(page.read_text(encoding="utf-8")) if m["language"] == language]
    return [(textwrap.dedent(match["code"]), match["note"] is None) for match in found]


def pages_with(language):
    return [pytest.param(p, id=p.relative_to(ROOT).as_posix()) for p in PAGES if blocks(p, language)]


def commands(page):
    """The `microsr` commands of a page's shell blocks."""
    lines = "".join(code for code, _ in blocks(page, "sh")).replace("\\\n", " ").splitlines()
    parts = [part.split() and shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
    return [part[1:] for part in parts if part and Path(part[0]).name == "microsr"]


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def lab(tmp_path, monkeypatch, rng):
    """A folder with the files that the pages speak of."""
    import torch

    from napari_microsr.superres.registry import build_network

    monkeypatch.chdir(tmp_path)
    note = "Aperio Image Library v11.2.1|AppMag = 20|MPP = 0.499"
    pixels = rng.integers(60, 220, (260, 270, 3), np.uint8)
    tifffile.imwrite("slide.svs", pixels, tile=(64, 64), photometric="rgb", description=note)
    network = build_network("fast-residual", channels=1, features=16, blocks=2, factor=2)
    torch.save(network.state_dict(), "my-training.pth")
    return tmp_path


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs(page, lab):
    names = {"__name__": "docs"}
    for number, (code, run) in enumerate(blocks(page, "python")):
        program = compile(code, f"{page.name}, block {number}", "exec")
        if run:
            exec(program, names)
        else:
            check_names(code)


def check_names(code):
    """What a block that cannot run imports from the package is there."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("napari_microsr"):
            module = __import__(node.module, fromlist=["_"])
            assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize("page", pages_with("sh"))
def test_commands_parse(page):
    for arguments in commands(page):
        command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
        assert command.__name__ == arguments[0]
        options = {word[2:].removeprefix("no-").replace("-", "_") for word in arguments if word[:2] == "--"}
        for job in bound.arguments.values():
            if isinstance(job, Job):
                assert options - {"json", *bound.arguments, "overview"} <= job.model_fields_set


def test_commands_are_found():
    assert ["models"] in commands(ROOT / "README.md")
    assert ["demo"] in commands(ROOT / "README.md"), "also behind && and with a path before it"


@pytest.mark.parametrize("page", pages_with("yaml"))
def test_jobs_are_valid(page):
    for code, _ in blocks(page, "yaml"):
        settings = yaml.safe_load(code)
        kind = JOBS[settings.pop("task")]
        job = kind.parse(settings)
        assert settings.keys() <= job.model_fields_set, "every setting of the page is one of the task"
        assert yaml.safe_load(job.to_yaml())["task"] == kind.task


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_two_promised_commands_stand_alone_in_the_readme():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("python3 -m venv")] == PROMISED
    for name, promised in zip(("demo", "test"), PROMISED, strict=True):
        script = [sys.executable, str(ROOT / ".ci" / "readme_command.py"), name]
        assert subprocess.run(script, capture_output=True, text=True, check=True).stdout == promised + "\n"


def test_the_readmes_figures_are_those_of_the_cards(hooks):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = hooks.IN_README.search(readme)[0]
    assert shown == hooks.networks() + "\n", "run: python docs/hooks.py"


def test_the_reference_names_every_setting_command_and_model(hooks):
    jobs = hooks.jobs()
    for kind in JOBS.values():
        for name, field in kind.model_fields.items():
            assert f"| `{name}` |" in jobs
            assert " ".join(field.description.split()) in jobs
    described = hooks.command()
    for arguments in (["upscale"], ["run"], ["models"], ["demo"]):
        assert f"microsr {arguments[0]}" in described
    assert "--tile-px" in described
    cards = hooks.models()
    for card in list_cards():
        assert f"## {card.id}\n" in cards
        assert card.summary in cards
        for metric in card.metrics:
            assert f"{metric.model.psnr_db:.2f} / {metric.model.ssim:.4f}" in cards
    manifest = yaml.safe_load((ROOT / "src" / "napari_microsr" / "napari.yaml").read_text(encoding="utf-8"))
    offered = hooks.manifest()
    for command in manifest["contributions"]["commands"]:
        assert command["id"] in offered
        assert command["title"] in offered


def test_every_marker_is_known(hooks):
    for page in PAGES:
        for name in re.findall(r"<!-- generated: (.*?) -->", page.read_text(encoding="utf-8")):
            assert name in hooks.GENERATED, page


@pytest.mark.skipif(not SITE.exists(), reason="the docs extra is not installed")
def test_the_site_builds_without_a_warning(tmp_path):
    command = [SITE, "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    job = (tmp_path / "site" / "reference" / "job" / "index.html").read_text(encoding="utf-8")
    assert "tile_px" in job
    assert "<!-- generated" not in job
