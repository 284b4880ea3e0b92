"""Localisation: efficiency by density, mismatch, honesty, false positives, bound and speed.

    python benchmarks/smlm.py [--model emitters-2d] [--only NAME ...] [--methods NAME ...] [--scale 1.0]
                              [--tubes FOLDER] [--figures docs/images]

Frames have 100 nm pixels, 80-2050 photons on 20 and a PSF 200-300 nm wide at half height. Seeds are fixed;
they were neither trained on nor used to choose a threshold; each method has one fixed threshold. Beside them
stand random points of the network's own number. `--scale` makes the sets smaller, `--methods` leaves out the
others (DSIR takes most of the time). `--tubes` is a folder with
the recreated Bundled Tubes HD stack and its table of positions (from Deep-STORM's repository). `--figures` is
a folder for the curves of `honesty` and `bound`; drawing them needs matplotlib.
"""

import argparse
import dataclasses
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _common import machine, print_table
from _dsir import DsirMaxima
from _smlm_figures import CURVES, draw_curves

from napari_microsr.core.device import resolve
from napari_microsr.core.image import open_image
from napari_microsr.core.weights import find
from napari_microsr.smlm.camera import PRESETS, Camera
from napari_microsr.smlm.crlb import closed_form
from napari_microsr.smlm.evaluation import find_all, judge, usual_scene
from napari_microsr.smlm.finders import GaussianMle
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.metrics import match, random_reference, score
from napari_microsr.smlm.network_finder import NetworkFinder
from napari_microsr.smlm.registry import load_network
from napari_microsr.smlm.simulate import expose, simulate_frames

#: For each method (x, y) of the points of a curve.
Series = dict[str, list[tuple[float, float]]]

SIGMA_PX = 250 / 235.482
SETS = {(256, 0.2): 12, (256, 2.0): 12, (256, 5.0): 12, (26, 2.0): 400}


#: Names of the methods to run; empty runs all.
CHOSEN: list[str] = []


def finders(model: str, camera: Camera, sigma_px: float = SIGMA_PX) -> dict:
    """Return the methods by name."""
    card, weights = find(model)
    network = load_network(card, weights)
    make = partial(NetworkFinder, network, resolve("cpu"), camera, sigma_px, network.threshold)
    methods = {
        card.id: make(),
        f"{card.id}, refined": make(refined=True),
        "gaussian-mle": GaussianMle(camera, sigma_px),
        "dsir-autoencoder, maxima": DsirMaxima(),
    }
    return {name: method for name, method in methods.items() if not CHOSEN or name in CHOSEN}


def frames_of(seed: int, n: int, side: int, scene, camera: Camera | None = None):
    """Simulate frames from a seed of the tests."""
    return simulate_frames(np.random.default_rng(seed), n, (side, side), scene, camera)


def densities(model: str, scale: float) -> None:
    """Efficiency, recall, RMSE and honesty of every method."""
    rows = []
    for seed, ((side, density), number) in enumerate(SETS.items()):
        made = frames_of(seed, max(1, round(number * scale)), side, usual_scene(density))
        for name, finder in finders(model, Camera()).items():
            found = find_all(finder, made.photons, made.truth)
            rows.append([f"{side}² at {density:g}", name, *_figures(made.truth, found)])
            if name == model:
                chance = random_reference(np.random.default_rng(seed), found)
                rows.append([f"{side}² at {density:g}", "random", *_figures(made.truth, chance)])
    print_table("Simulated frames", ["frames", "method", *HEAD], rows)


HEAD = ("E", "recall", "precision", "J250", "J100", "RMSE nm", "median nm", "error/predicted")


def _figures(truth: Localizations, found: Localizations) -> list[float]:
    s = score(truth, found)
    honesty = judge(truth, found).honesty if np.isfinite(found.x_err).all() else float("nan")
    return [
        s.efficiency, s.recall, s.precision, s.jaccard, s.jaccard_strict, s.rmse_nm, s.median_nm, honesty
    ]  # fmt: skip


def honesty(model: str, scale: float) -> Series:
    """Error over predicted error by density."""
    series: Series = {}
    for seed, density in enumerate((0.1, 0.2, 0.5, 1.0, 2.0, 3.5, 5.0, 8.0), 100):
        # As many molecules at each density.
        made = frames_of(seed, max(1, round(scale * 24 / density)), 64, usual_scene(density))
        for name, finder in finders(model, Camera()).items():
            if isinstance(finder, DsirMaxima):
                continue  # which tells no errors
            found = find_all(finder, made.photons, made.truth)
            series.setdefault(name, []).append((density, judge(made.truth, found).honesty))
    rows = [[name, *(value for _, value in points)] for name, points in series.items()]
    at = [f"{density:g} per µm²" for density, _ in series[model]]
    print_table("Error over predicted error", ["method", *at], rows)
    return series


def mismatch(model: str, scale: float) -> None:
    """Loss of efficiency where the frames are not what the method was told."""
    rows = []
    for density in (0.2, 2.0, 5.0):
        usual = usual_scene(density)
        em = Camera(em_gain=300.0, e_per_adu=15.0, read_noise_e=60.0)
        cases = {
            "matched": (usual, Camera(), SIGMA_PX),
            "Airy PSF": (dataclasses.replace(usual, psf="airy"), Camera(), SIGMA_PX),
            "sigma told 20 % too small": (usual, Camera(), 0.8 * SIGMA_PX),
            "sigma told 20 % too large": (usual, Camera(), 1.2 * SIGMA_PX),
            "background gradient": (dataclasses.replace(usual, gradient=1.5), Camera(), SIGMA_PX),
            "EM camera": (usual, em, SIGMA_PX),
            "sCMOS": (usual, PRESETS["scmos"], SIGMA_PX),
        }
        base = None
        for name, (scene, camera, sigma_px) in cases.items():
            made = frames_of(20, max(1, round(4 * scale)), 256, scene, camera)
            found = find_all(finders(model, camera, sigma_px)[model], made.photons, made.truth)
            efficiency = score(made.truth, found).efficiency
            base = efficiency if base is None else base
            rows.append([density, name, efficiency, base - efficiency])
    print_table("Mismatch", ["per µm²", "case", "E", "loss"], rows)


def false_positives(model: str, scale: float) -> None:
    """Emitters found per µm² in frames without any."""
    side, ramp = 256, np.linspace(0, 1, 256)
    bump = np.exp(-((ramp[:, None] - 0.5) ** 2 + (ramp - 0.5) ** 2) / (2 * 0.12**2))
    backgrounds = {
        "20": np.full((side, side), 20.0),
        "200": np.full((side, side), 200.0),
        "1": np.full((side, side), 1.0),
        "dark": np.zeros((side, side)),
        "slope 5 to 60": np.tile(5 + 55 * ramp, (side, 1)),
        "hill 20 to 100": 20 + 80 * bump,
        "200, EM camera": np.full((side, side), 200.0),
    }
    rows = []
    for name, background in backgrounds.items():
        camera = Camera(em_gain=300.0, e_per_adu=15.0, read_noise_e=60.0) if "EM" in name else Camera()
        n = max(1, round(6 * scale))
        nothing = Localizations.empty(pixel_nm=100.0, shape_yx=(side, side), n_frames=n)
        expected = np.broadcast_to(background, (n, side, side)).astype(np.float32)
        photons = expose(np.random.default_rng(40), nothing, expected, usual_scene(0.0), camera)
        counts = [len(find_all(f, photons, nothing)) for f in finders(model, camera).values()]
        rows.append([name, *(count / (n * (side * 0.1) ** 2) for count in counts)])
    print_table("False positives per µm²", ["background", *finders(model, Camera())], rows)


def bound(model: str, scale: float) -> Series:
    """RMSE of isolated emitters over the Cramér–Rao bound, by photons."""
    rows: list[list[float]] = []
    series: Series = {}
    at = 12.0 + 24 * np.arange(10)
    y, x = (axis.ravel() for axis in np.meshgrid(at, at, indexing="ij"))
    scene = dataclasses.replace(usual_scene(0.2), sigma_spread=0.0)
    for photons in (250.0, 500.0, 1000.0, 2000.0):
        rng, n = np.random.default_rng(60), max(1, round(8 * scale))
        shift = rng.uniform(-0.5, 0.5, (2, n * len(x)))
        truth = Localizations.from_columns(
            frame=np.repeat(np.arange(n), len(x)),
            x=np.tile(x, n) + shift[0],
            y=np.tile(y, n) + shift[1],
            photons=np.full(n * len(x), photons),
            sigma_px=np.full(n * len(x), SIGMA_PX),
            pixel_nm=100.0,
            shape_yx=(240, 240),
            n_frames=n,
        )
        frames = expose(rng, truth, np.full((n, 240, 240), 20.0, np.float32), scene, Camera())
        limit = 100 * float(closed_form(photons, 20.0, SIGMA_PX))
        ratios = []
        for name, finder in finders(model, Camera()).items():
            distance = match(truth, find_all(finder, frames, truth)).distance_nm
            ratios.append(float(np.sqrt(np.mean(distance**2) / 2)) / limit)
            series.setdefault(name, []).append((photons, ratios[-1]))
        rows.append([photons, limit, *ratios])
    print_table("Isolated emitters", ["photons", "bound nm", *series], rows)
    return series


def speed(model: str, scale: float) -> None:
    """Frames per second with all cores, and processor seconds per frame."""
    from napari_microsr.core.image import ImageSource
    from napari_microsr.core.progress import SilentProgress
    from napari_microsr.smlm.stream import localize_frames

    rows = []
    for side, density, number in ((256, 0.2, 40), (256, 5.0, 24), (64, 5.0, 361)):
        n = max(2, round(number * scale))
        made = frames_of(80, n, side, usual_scene(density))
        source = ImageSource.from_array(made.photons, axes="tyx", name="stack")
        for name, finder in finders(model, Camera()).items():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in localize_frames(
                source, range(n), Camera(offset=0.0), finder,
                pixel_nm=100.0, block=64, progress=SilentProgress(), total=range(n),
            ):  # fmt: skip
                pass
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            rows.append([f"{n} of {side}² at {density:g}", name, n / wall, 1000 * cpu / n])
    print_table("Speed", ["frames", "method", "frames/s", "CPU ms per frame"], rows)


def drift(_model: str, scale: float) -> None:
    """Residual of the drift correction: lines, a random walk and a slope of some 200 nm."""
    from napari_microsr.smlm.drift import estimate_drift

    rng, n, frames, side = np.random.default_rng(70), round(150_000 * scale), 5000, 64
    walk = np.cumsum(rng.normal(0, 0.012, (frames, 2)), 0) + np.linspace(0, 1, frames)[:, None] * [1.2, -0.8]
    length, angle = rng.uniform(5, 25, 30), rng.uniform(0, 2 * np.pi, 30)
    centre, line = rng.uniform(15, side - 15, (30, 2)), rng.integers(0, 30, n)
    frame, along = rng.integers(0, frames, n), rng.uniform(-0.5, 0.5, n) * length[line]
    heading = np.column_stack([np.cos(angle), np.sin(angle)])[line]
    place = centre[line] + along[:, None] * heading + walk[frame] + rng.normal(0, 0.1, (n, 2))
    table = Localizations.from_columns(
        frame=frame, x=place[:, 0], y=place[:, 1], pixel_nm=100.0, shape_yx=(side, side), n_frames=frames
    )
    rows = []
    for method in ("aim", "rcc"):
        cpu = time.process_time()
        found = estimate_drift(table, method)
        cpu = time.process_time() - cpu
        error = np.column_stack([found.x, found.y]) - walk
        residual = 100 * (error - error.mean(0)).std(0)
        rows.append([method, *(100 * np.ptp(walk, axis=0)), *residual, cpu])
    head = ["method", "drift x nm", "drift y nm", "residual x nm", "residual y nm", "CPU s"]
    print_table(f"Drift, {n} localisations in {frames} frames", head, rows)


def tubes(model: str, folder: Path) -> None:
    """Score the recreated Bundled Tubes HD, which nothing was trained on."""
    import pandas as pd

    from napari_microsr.smlm.measure import measure_sigma, sample_frames

    source = open_image(folder / "testStack_SimulatedMicrotubules.tif")
    frames = np.concatenate(
        [source.read(i, slice(0, source.height), slice(0, source.width)) for i in range(source.n_planes)]
    )
    table = pd.read_csv(next(folder.glob("Positions*.csv*")))
    # The positions come in nm from the corner of the first pixel, frames from 1.
    truth = Localizations.from_columns(
        frame=table.iloc[:, 0] - 1,
        x=table.iloc[:, 1] / 100 - 0.5,
        y=table.iloc[:, 2] / 100 - 0.5,
        pixel_nm=100.0,
        shape_yx=(source.height, source.width),
        n_frames=source.n_planes,
    )
    rows = []
    for offset, gain in ((100.0, 1.0), (70.0, 0.35)):
        camera = Camera(offset=offset, e_per_adu=gain)
        sigma_px = measure_sigma(camera.to_photons(sample_frames(source, range(source.n_planes))), camera)
        for name, finder in finders(model, camera, sigma_px or SIGMA_PX).items():
            found = find_all(finder, camera.to_photons(frames), truth)
            rows.append([f"offset {offset:g}, gain {gain:g}", name, sigma_px, *_figures(truth, found)])
    print_table("Bundled Tubes HD, recreated", ["camera", "method", "sigma px", *HEAD], rows)


def main() -> None:
    """Run what was asked for."""
    parts = {
        "densities": densities,
        "honesty": honesty,
        "mismatch": mismatch,
        "false-positives": false_positives,
        "bound": bound,
        "speed": speed,
        "drift": drift,
    }
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="emitters-2d")
    parser.add_argument("--only", nargs="*", choices=[*parts, "tubes"])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--methods", nargs="*", default=[])
    parser.add_argument("--tubes", type=Path)
    parser.add_argument("--figures", type=Path)
    options = parser.parse_args()
    CHOSEN.extend(options.methods)
    print(machine())
    torch.set_num_threads(2)
    for name, part in parts.items():
        if not options.only or name in options.only:
            curves = part(options.model, options.scale)
            if options.figures is not None and name in CURVES:
                draw_curves(name, curves, options.figures)
    if options.tubes is not None:
        tubes(options.model, options.tubes)


if __name__ == "__main__":
    main()
