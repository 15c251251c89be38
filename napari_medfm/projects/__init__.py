"""Many cases: which there are, what is to do, who does it, and what in them looks like a lesion that is known.

Owns a database in a folder of the person's choice. Several people and processes may work on it at once. Knows
images and class lists; knows neither what was drawn, which the journals tell, nor exports. The search for look-alikes
(`napari_medfm.projects.searching`, `napari_medfm.projects.gallery`) needs a model and is imported by itself.
"""

from napari_medfm.projects.adding import Added, add_folder
from napari_medfm.projects.cases import Case, CaseStatus, Change, Progress
from napari_medfm.projects.finding import Found, find_cases
from napari_medfm.projects.project import Project
from napari_medfm.projects.worklist import Selection, Step, is_writable, steps

__all__ = [
    "Added",
    "Case",
    "CaseStatus",
    "Change",
    "Found",
    "Progress",
    "Project",
    "Selection",
    "Step",
    "add_folder",
    "find_cases",
    "is_writable",
    "steps",
]
