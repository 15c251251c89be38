"""What is minimised is least where the answer is right, and knows how good the answer is."""

import pytest
import torch

from napari_medfm.pretraining.objective import iou, judge

TRUTH = torch.zeros(1, 1, 16, 16)
TRUTH[..., 4:12, 4:12] = 1
RIGHT, WRONG = (TRUTH * 2 - 1) * 20, (1 - TRUTH * 2) * 20


def loss(logits, settled, worth=None):
    worth = torch.zeros(1, logits.shape[1]) if worth is None else worth
    return judge(logits, worth, TRUTH, torch.tensor([settled])).loss.item()


def test_a_right_answer_costs_nothing_but_its_modesty():
    assert loss(RIGHT, settled=True, worth=torch.tensor([[20.0]])) == pytest.approx(0, abs=0.01)


def test_without_doubt_the_first_candidate_has_to_be_right():
    assert loss(torch.cat([RIGHT, WRONG], 1), settled=True) < 0.2
    assert loss(torch.cat([WRONG, RIGHT], 1), settled=True) > 2


def test_in_doubt_one_right_candidate_suffices_nearly():
    first, second = (loss(torch.cat(pair, 1), settled=False) for pair in ((RIGHT, WRONG), (WRONG, RIGHT)))
    assert first < 0.2
    assert second == pytest.approx(first + 0.1 * (loss(WRONG, settled=True) - loss(RIGHT, settled=True)), rel=0.2)


def test_the_expected_iou_is_drawn_to_the_real_one():
    honest, boastful = (loss(WRONG, settled=True, worth=torch.tensor([[logit]])) for logit in (-20.0, 20.0))
    assert boastful - honest == pytest.approx(0.3, abs=0.01)


def test_iou_counts_cells_and_two_empty_masks_agree():
    half = TRUTH.clone()
    half[..., 8:, :] = 0
    assert iou(half > 0, TRUTH > 0).item() == pytest.approx(33 / 65)
    assert iou(TRUTH > 2, TRUTH > 2).item() == 1
    assert iou(TRUTH > 0, TRUTH > 0).item() == 1
