"""Makes the picture of the README: organs of the CT phantom, segmented in the real viewer by mouse and keys.

``python scripts/readme_picture.py``, from anywhere; without a display it starts itself again under ``xvfb-run``.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import driver  # noqa: E402
from person import LONGEST, Person  # noqa: E402

PICTURE = ROOT / "sample_volumes" / "pictures" / "annotate.png"
CT = ROOT / "sample_volumes" / "abdomen_ct.nii.gz"
ACCEPTED = {"spleen": 2, "right kidney": 3, "left kidney": 4, "aorta": 6}
LIVER, LESION = 1, 7
COLOURS = 200


def click(person: Person, name: str, wanted: np.ndarray, index: int) -> None:
    """Begin an object, and click it until it is right on a slice."""
    from napari_medfm._qt.objects_model import Column
    from napari_medfm.simulation import dice, next_click
    from napari_medfm.volume import Plane

    session, plane, clicked = person.case.session, Plane(0, index), []
    before = set(session.state.objects)
    person.key("N")
    (number,) = set(session.state.objects) - before
    person.type_into_cell(number, Column.NAME, name)
    person.show(plane)
    while len(clicked) < 6 and dice(session.labels[index] == number, wanted[index]) < 0.95:
        point = next_click(session.labels[index] == number, wanted[index], clicked=clicked, plane=plane)
        if point is None:
            break
        clicked.append(point.position)
        person.click(plane, point.position, shift=not point.positive)
        driver.wait(
            lambda: len(session.state.objects[number].prompts) >= len(clicked) and not person.case.live.busy, LONGEST
        )


def draw(person: Person, truth: np.ndarray) -> None:
    """Segment what is to be seen, and bring it into view."""
    panel, propagating = person.panel, person.case.propagating
    liver = np.isin(truth, (LIVER, LESION))
    index = int(np.argmax(liver.sum(axis=(1, 2)) * (truth == ACCEPTED["spleen"]).any(axis=(1, 2))))
    for name, label in ACCEPTED.items():
        if (truth[index] == label).any():
            click(person, name, truth == label, index)
            person.key("Return")
    click(person, "liver", liver, index)
    person.key("G")
    driver.wait(lambda: propagating.slices > 0 and not propagating.busy, LONGEST)
    for section in (panel.image, panel.model):
        person.unfold(section, unfolded=False)
    person.scroll_to(panel.prompts.toggleButton())
    driver.settle(500)


def main() -> None:
    """Make the picture."""
    from PIL import Image

    from napari_medfm.files import atomic_write
    from napari_medfm.volume import open_labels

    with driver.folders_of_its_own():
        desk = driver.Desk(title="napari")
        case = desk.open(CT, timeout=LONGEST)
        draw(Person(desk), open_labels(CT.with_name("abdomen_ct_labels.nii.gz"), like=case.session.volume))
        seen = Image.fromarray(desk.viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
        desk.close()
    seen = seen.quantize(COLOURS, dither=Image.Dither.NONE)
    atomic_write(PICTURE, lambda path: seen.save(path, format="PNG", optimize=True))


if __name__ == "__main__":
    driver.ensure_display()
    main()
