import subprocess
import sys
from typing import get_args

import numpy as np
import pytest

from napari_medfm.prompts import Point, PromptSet, rasterize
from napari_medfm.simulation import ProtocolName, RobotTrace, clicks_to, dice, dsc_auc, iou, run_robot
from napari_medfm.volume import Plane

SHAPE = (48, 56)
PROTOCOLS = get_args(ProtocolName)


@pytest.fixture
def truth():
    rows, columns = np.indices(SHAPE)
    return np.hypot(rows - 22, (columns - 26) * 0.7) < 14


def brush(prompts, previous):
    """A model that paints a disc at each point and along each stroke, and fills each box."""
    mask = np.zeros(SHAPE, bool) if previous is None else previous.copy()
    last = prompts[-1]
    spots = [Point(last.plane, place) for place in last.path] if last.kind == "scribble" else [last]
    for spot in spots:
        mask[rasterize(spot, SHAPE, radius=6)] = last.positive
    return mask


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_run_scores_every_answer_against_the_truth(protocol, truth):
    answers = []

    def answer(prompts, previous):
        answers.append(brush(prompts, previous))
        return answers[-1]

    trace = run_robot(answer, truth, protocol=protocol, max_clicks=6)
    assert trace.protocol == protocol
    assert trace.dice == tuple(dice(mask, truth) for mask in answers)
    assert trace.iou == tuple(iou(mask, truth) for mask in answers)
    assert np.array_equal(trace.mask, answers[-1])
    assert len(trace.prompts) == len(trace.seconds) == len(answers)
    assert all(seconds >= 0 for seconds in trace.seconds)
    assert trace.dice[-1] > 0.5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_model_sees_all_prompts_so_far_and_its_own_last_mask(protocol, truth):
    calls = []

    def answer(prompts, previous):
        calls.append((prompts, previous))
        return brush(prompts, previous)

    trace = run_robot(answer, truth, protocol=protocol, max_clicks=3)
    assert [prompts for prompts, _ in calls] == [PromptSet(trace.prompts.prompts[: n + 1]) for n in range(len(calls))]
    assert calls[0][1] is None
    assert all(previous is not None for _, previous in calls[1:])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_seeds_repeat_a_run(protocol, truth):
    first, second = (run_robot(brush, truth, protocol=protocol, seed=4, max_clicks=5) for _ in range(2))
    assert first.prompts == second.prompts
    assert first.dice == second.dice


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"ritm"}))
def test_other_seeds_give_other_prompts(protocol, truth):
    runs = {run_robot(brush, truth, protocol=protocol, seed=seed, max_clicks=5).prompts for seed in range(6)}
    assert len(runs) > 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_prompts_lie_on_the_plane_asked_for(protocol, truth):
    trace = run_robot(brush, truth, protocol=protocol, max_clicks=2, plane=Plane(2, 31))
    assert trace.prompts.planes == (Plane(2, 31),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_robot_stops_when_nothing_is_wrong(protocol, truth):
    trace = run_robot(lambda prompts, previous: truth, truth, protocol=protocol)
    assert len(trace.prompts) == 1
    assert trace.dice == (1.0,)
    assert trace.after_clicks(5) == (1.0,) * 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_empty_truth_makes_an_empty_run(protocol):
    trace = run_robot(brush, np.zeros(SHAPE, bool), protocol=protocol)
    assert not trace.prompts
    assert trace.dice == trace.iou == trace.seconds == ()
    assert trace.after_clicks(2) == (1.0, 1.0)
    assert not trace.mask.any()


@pytest.mark.parametrize(
    ("protocol", "opening", "clicks"),
    [("ritm", [], 20), ("jittered", [], 20), ("box", ["box"], 20), ("scribble", [], 20), ("cvpr2025", ["box"], 5)],
)
def test_each_protocol_opens_and_ends_as_published(protocol, opening, clicks, truth):
    trace = run_robot(lambda prompts, previous: ~truth, truth, protocol=protocol)
    kinds = [prompt.kind for prompt in trace.prompts]
    correction = "scribble" if protocol == "scribble" else "point"
    assert kinds == opening + [correction] * clicks


def test_ritm_never_clicks_a_voxel_twice(truth):
    trace = run_robot(lambda prompts, previous: np.zeros(SHAPE, bool), truth)
    assert len({point.position for point in trace.prompts}) == 20


def test_an_opening_box_is_not_a_click():
    steps = PromptSet((run_robot(brush, rasterize(Point(Plane(), (9, 9)), SHAPE, 5), protocol="box").prompts[0],))
    steps = steps.add(Point(Plane(), (1.0, 1.0))).add(Point(Plane(), (2.0, 2.0)))
    trace = RobotTrace("box", steps, (0.5, 0.6, 0.95), (0.4, 0.5, 0.9), (0.0,) * 3, np.zeros(SHAPE, bool))
    assert trace.after_clicks(2) == (0.6, 0.95)
    assert trace.after_clicks(4) == (0.6, 0.95, 0.95, 0.95)
    assert trace.after_clicks(1, "iou") == (0.5,)
    assert clicks_to(0.9, trace.after_clicks(20)) == 2
    assert dsc_auc(trace.after_clicks(5)) == pytest.approx(0.3 + 3 * 0.95 + 0.95 / 2)


def test_cvpr2025_works_on_a_volume():
    z, rows, columns = np.indices((12, 30, 30))
    truth = np.hypot(np.hypot(rows - 14, columns - 15), 2 * (z - 6)) < 9

    def answer(prompts, previous):
        mask = np.zeros(truth.shape, bool) if previous is None else previous.copy()
        last = prompts[-1]
        mask[last.plane.index][rasterize(last, truth.shape[1:], radius=5)] = last.positive
        return mask

    trace = run_robot(answer, truth, protocol="cvpr2025")
    assert trace.prompts[0].plane == Plane(0, 6)
    assert len(trace.prompts) == 6
    assert len(trace.prompts.planes) > 1
    assert trace.dice[-1] > trace.dice[0]


@pytest.mark.parametrize("protocol", ["ritm", "jittered", "box", "scribble"])
def test_the_others_work_in_a_plane_only(protocol):
    with pytest.raises(ValueError, match="does not work on 3 axes"):
        run_robot(brush, np.ones((3, 4, 5), bool), protocol=protocol)


def test_an_unknown_protocol_is_refused_with_the_known_ones(truth):
    with pytest.raises(ValueError, match="use one of ritm, jittered"):
        run_robot(brush, truth, protocol="telepathy")


def test_the_room_opens_without_torch():
    code = "import sys, napari_medfm.simulation; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
