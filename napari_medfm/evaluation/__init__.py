"""How well a model serves a person, found out by a robot user that works like one.

Owns two robots. One goes through the same session and the same conversation with the model as the
interface does, see `segment_like_expert`. The other judges any number of models on any data
sets with expert masks, against two floors, and writes a report: `read_cases`, `Evaluation`, `summarise`,
`write_report`. Knows neither napari nor Qt.
"""

from napari_medfm.evaluation.cases import Case, read_cases, read_dataset_folder, read_manifest, select_cases
from napari_medfm.evaluation.contestants import FLOORS, Contestant, ContestantFacts, with_floors
from napari_medfm.evaluation.pictures import draw_comparison, draw_planes
from napari_medfm.evaluation.report import write_report, write_results
from napari_medfm.evaluation.running import Evaluation, Failure, Outcome, Plan, Progress
from napari_medfm.evaluation.summaries import (
    ALL_DATASETS,
    FORMS,
    Estimate,
    Latency,
    Summary,
    dice_curve,
    latencies,
    mean_of_means,
    summarise,
    worst,
)
from napari_medfm.evaluation.targets import Form, Target, TargetRules, find_targets, form_of
from napari_medfm.evaluation.trials import CLICKS, ENOUGH, MEASURES, Trial
from napari_medfm.evaluation.walkthrough import ObjectScore, ask, expert_masks, segment_like_expert

__all__ = [
    "ALL_DATASETS",
    "CLICKS",
    "ENOUGH",
    "FLOORS",
    "FORMS",
    "MEASURES",
    "Case",
    "Contestant",
    "ContestantFacts",
    "Estimate",
    "Evaluation",
    "Failure",
    "Form",
    "Latency",
    "ObjectScore",
    "Outcome",
    "Plan",
    "Progress",
    "Summary",
    "Target",
    "TargetRules",
    "Trial",
    "ask",
    "dice_curve",
    "draw_comparison",
    "draw_planes",
    "expert_masks",
    "find_targets",
    "form_of",
    "latencies",
    "mean_of_means",
    "read_cases",
    "read_dataset_folder",
    "read_manifest",
    "segment_like_expert",
    "select_cases",
    "summarise",
    "with_floors",
    "worst",
    "write_report",
    "write_results",
]
