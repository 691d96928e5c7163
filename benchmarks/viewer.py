"""How long a large `report.html` takes to open and to answer, and the memory it takes, in headless Chromium.

    python -m benchmarks.viewer                                  # 1,000 sections and some 10,000 objects
    python -m benchmarks.viewer --sections 125 --side 1250 --objects 2000

Boxes of random size in noise; a sixth of them was missed, as many are invented. Needs playwright (the extra `test`) and
Debian's `chromium`, or Chrome. Linux only.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.reports.page import ReportHead, write_report
from connectomics.reports.reported import ReportedVolume
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource
from tests.browser import find_browser, started

SPACING_NM = (40.0, 4.0, 4.0)
SHOWN = "document.getElementById('stage').dataset.shown"
STEP = "document.getElementById('stage').dataset.shown.split('-')[1] === document.getElementById('section').value"


def write_page(path: Path, shape: tuple[int, int, int], objects: int, rng: np.random.Generator) -> int:
    """Write the page and return how many objects it lists."""
    predicted, truth = np.zeros((2, *shape), np.bool_)
    for start in rng.integers(0, np.maximum(1, np.subtract(shape, (4, 10, 14))), (objects, 3)).tolist():
        box = tuple(slice(a, a + int(rng.integers(2, most))) for a, most in zip(start, (4, 10, 14), strict=True))
        kind = rng.random()
        predicted[box] |= kind < 5 / 6
        truth[box] |= kind > 1 / 6
    image = rng.integers(60, 200, shape, np.uint8)
    probability = np.where(predicted, np.uint8(200), np.uint8(20))
    judged = judge(LabelPair(predicted.astype(np.uint8), truth.astype(np.uint8), SPACING_NM), MatchRule())
    sources = [ArraySource.of(voxels, SPACING_NM) for voxels in (image, probability)]
    volume = ReportedVolume("random", sources[0], IntensityRange(0, 255), judged, sources[1], scale=255)
    write_report(path, ReportHead("benchmark", {}, 0.5), {"volumes": {}, "mean": {}}, [volume], [shape])
    assert judged.outcomes is not None
    return len(judged.both.predicted) + judged.outcomes.to_json()["missed"]


def timed(page: Any, act: str, until: str) -> float:
    """Return how many milliseconds pass until a condition holds after something was done."""
    begun = time.perf_counter()
    page.evaluate(act)
    while not page.evaluate(until):
        time.sleep(0.005)
    return 1000 * (time.perf_counter() - begun)


def resident_mib(browser: Any) -> float:
    """Return the resident memory of the process that shows the page, the largest of its kind."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    sizes = []
    for process in (one for one in found if one["type"] == "renderer"):
        status = Path(f"/proc/{process['id']}/status").read_text(encoding="ascii")
        sizes.append(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")))
    return max(sizes) / 1024


def measure(path: Path, program: str) -> None:
    with started(program) as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(300_000)
        begun = time.perf_counter()
        page.goto(path.as_uri())
        while not page.evaluate(f"{SHOWN} !== undefined"):
            time.sleep(0.005)
        print(f"open: {time.perf_counter() - begun:.1f} s; the page's process takes {resident_mib(browser):.0f} MiB")
        slider = "(s => {{ s.value = {}; s.dispatchEvent(new Event('input')); }})(document.getElementById('{}'))"
        steps: NDArray = np.array([timed(page, slider.format(z, "section"), STEP) for z in range(3, 43)])
        print(f"a section: median {np.median(steps):.0f} ms, slowest of {len(steps)} {steps.max():.0f} ms")
        print(f"the list filtered by size: {timed(page, slider.format(40, 'least-size'), 'true'):.0f} ms")
        begun = time.perf_counter()
        page.keyboard.press("n")
        while not page.evaluate("document.querySelector('#objects [aria-current]') !== null"):
            time.sleep(0.005)
        print(f"the next object: {1000 * (time.perf_counter() - begun):.0f} ms")
        read = "document.getElementById('sides-read').hidden && document.getElementById('xz').width > 1"
        seconds = timed(page, "document.getElementById('show-sides').click()", read) / 1000
        print(f"xz and yz: {seconds:.1f} s until all sections are read")
        print(f"the page's process takes {resident_mib(browser):.0f} MiB after that")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", type=int, default=1000)
    parser.add_argument("--side", type=int, default=300)
    parser.add_argument("--objects", type=int, default=12_000, help="boxes; those that touch are one object")
    args = parser.parse_args()
    program = find_browser()
    if program is None:
        parser.error("neither Chromium nor Chrome is installed")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "report.html"
        listed = write_page(path, (args.sections, args.side, args.side), args.objects, np.random.default_rng(0))
        print(f"{args.sections} sections, {listed:,} objects, {path.stat().st_size / 1e6:.0f} MB")
        measure(path, program)


if __name__ == "__main__":
    main()
