"""The page: whole in itself, true, and harmless whatever the names are."""

import base64
import re
from html.parser import HTMLParser

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.manifest import ItemState
from napari_microsr.batch.report import write_report
from napari_microsr.batch.run import run_batch
from napari_microsr.batch.summary import write_summary

EVIL = """<script>alert(1)</script>'"><img src=x onerror=alert(2)>&amp;"""


class Tags(HTMLParser):
    """Collects tags, their attributes and the text between."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


def test_names_that_are_html_stay_text(tmp_path):
    state = ItemState(
        EVIL,
        state="failed",
        task=EVIL,
        source=EVIL,
        group={EVIL: EVIL},
        model={"id": EVIL},
        version=EVIL,
        figures={EVIL: EVIL},
        warnings=(EVIL,),
        error=EVIL,
        remedy=EVIL,
    )
    page = Tags(write_report(tmp_path, EVIL, [state]).read_text())
    assert not [tag for tag, _ in page.tags if tag in ("script", "img", "iframe", "link")]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "".join(page.words).count(EVIL) >= 10
    write_summary(tmp_path, [state])


@pytest.fixture
def page(slides, tmp_path):
    (slides / "broken.tif").write_bytes(b"II*\0 nothing")
    settings = {"model": "bicubic", "device": "cpu"}
    run_batch(BatchJob(do="upscale", inputs=[str(slides)], output=tmp_path / "run", settings=settings))
    return (tmp_path / "run" / "report.html").read_text()


def test_it_shows_every_result_and_loads_nothing(page, slides):
    found = Tags(page)
    pictures = {a["alt"]: a["src"] for tag, a in found.tags if tag == "img"}
    assert set(pictures) == {"a", "b2", "b10"}
    for name, source in pictures.items():
        shown = imagecodecs.jpeg8_decode(base64.b64decode(source.removeprefix("data:image/jpeg;base64,")))
        fine = tifffile.imread(slides / f"{name}.tif").repeat(2, 0).repeat(2, 1)
        assert shown.shape == fine.shape
        assert shown.mean() == pytest.approx(fine.mean(), rel=0.05)
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:)[a-z/]", page)
    assert "default-src 'none'" in page


def test_failures_come_first_with_cause_and_remedy(page):
    words = [word.strip() for word in Tags(page).words]
    assert "1 failed" in page
    assert words.index("broken") < words.index("a")
    assert any("broken.tif holds no image." in word for word in words)
    assert "Choose another file." in words


def test_a_result_that_is_gone_leaves_no_hole(tmp_path):
    states = [ItemState("gone", state="done", outputs=(str(tmp_path / "gone.ome.zarr"),))]
    assert "gone" in write_report(tmp_path, "a", states).read_text()


def test_values_that_are_no_numbers_can_be_shown(tmp_path, rng):
    from napari_microsr.batch.thumbnail import thumbnail
    from napari_microsr.superres.job import UpscaleJob, upscale

    pixels = rng.normal(size=(1, 33, 7)).astype(np.float32)
    pixels[0, 3:9] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    job = UpscaleJob(source=str(tmp_path / "a.tif"), output=tmp_path / "a", model="bicubic", device="cpu")
    picture = imagecodecs.jpeg8_decode(thumbnail(str(upscale(job)[0])))
    assert picture.shape[:2] == (66, 14)
