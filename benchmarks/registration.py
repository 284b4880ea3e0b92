"""Registration beside the two spiral searches, `cv2.matchTemplate` and SIFT, on fields with a known truth.

    python benchmarks/registration.py RESULTS.jsonl [--scans FOLDER] [--tissue FOLDER] [--figures]

Fields and overviews of 3584 x 2748 px are simulated from the slide that ships with the package. Every result
is a line of RESULTS.jsonl; the same command goes on where it was stopped, and reports what there is.

--scans holds OS-2-ndpi.ome.tif and OS-2-vsi.ome.tif, one region seen by two scanners, of the repository
petebankhead/2022-qupath-cell-detection. Without it that pair is left out, and the overview holds the shipped
slide alone. --tissue holds RGB images of other slides, about 0.5 µm per pixel and 400 px or larger, to look
for where they are not. --sets chooses among the sets, --share takes a part of each, --baselines the part of
that which the other methods are shown. --calibration runs the seeds on which thresholds and the expected
error were fitted: other overviews, other fields. --figures draws docs/images/registration-*.png; it needs
matplotlib.

Times are CPU time of one thread, from pixels in memory to the placement: median, and in brackets the 95th
percentile.
"""

import argparse
import os
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import cv2  # noqa: E402 (the libraries read the variables when they are loaded)
from _registration_cases import SETS, Slides, cases  # noqa: E402
from _registration_figures import draw  # noqa: E402
from _registration_methods import BASELINES, OURS, QUADRATIC, methods  # noqa: E402
from _registration_report import print_bars, print_sets  # noqa: E402
from _registration_run import load, run  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--scans", type=Path)
    parser.add_argument("--tissue", type=Path)
    parser.add_argument("--sets", nargs="*", choices=[*SETS], default=[*SETS], metavar="SET")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--baselines", type=float, default=0.05)
    parser.add_argument("--calibration", action="store_true")
    parser.add_argument("--report", action="store_true", help="run nothing, report what there is")
    parser.add_argument("--figures", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    series = "calibration" if options.calibration else "report"
    if not options.report:
        slides, table = Slides(options.scans, options.tissue), methods()
        every = [case for case in cases(series, options.share) if case.set in options.sets]
        run(every, {OURS: table[OURS]}, slides, options.results)
        across = [case for case in every if case.set == "real"]
        run(across, {name: table[name] for name in (QUADRATIC, *BASELINES)}, slides, options.results)
        some = cases(series, options.share * options.baselines)
        run(
            [case for case in some if case.set in options.sets],
            {name: table[name] for name in BASELINES},
            slides,
            options.results,
        )
    results = [r for r in load(options.results) if r.series == series]
    by_method = {name: [r for r in results if r.method == name] for name in methods()}
    print_bars({name: some for name, some in by_method.items() if some})
    for name, some in by_method.items():
        if some:
            print_sets(name, some)
    if options.figures:
        draw(by_method, Path(__file__).parent.parent / "docs" / "images")


if __name__ == "__main__":
    main()
