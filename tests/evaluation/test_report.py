"""A report is one file that needs nothing else, tells no folder, and takes every name literally."""

import base64
import io
import json
import re
from dataclasses import replace
from html import unescape

import pytest
from PIL import Image

from napari_medfm.evaluation import (
    Evaluation,
    Plan,
    TargetRules,
    read_manifest,
    with_floors,
    write_report,
    write_results,
)


@pytest.fixture(scope="module")
def outcome(make_manifest, tmp_path_factory):
    """What was found; one image cannot be read."""
    folder = tmp_path_factory.mktemp("evaluation")
    cases = read_manifest(make_manifest(folder))
    cases[2].image.write_bytes(b"no picture")
    run = Evaluation(Plan(cases, clicks=2, rules=TargetRules(smallest=20)), with_floors([]), folder / "out")
    for _ in run.run():
        pass
    return run.outcome


@pytest.fixture(scope="module")
def page(outcome, tmp_path_factory):
    return write_report(outcome, tmp_path_factory.mktemp("report")).read_text(encoding="utf-8")


def text_of(page):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_it_loads_nothing_from_elsewhere(page):
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']""", page)
    assert not re.findall(r"url\((?!#)", page)
    assert "<script" not in page


def test_it_counts_what_was_evaluated(page):
    assert "6 objects in 3 images of 2 data sets" in text_of(page)


def test_it_says_that_it_is_for_research_only(page):
    assert "For research use only." in text_of(page)


def test_it_names_every_contestant_with_tier_origin_and_licence(page, outcome):
    words = text_of(page)
    for facts in outcome.contestants:
        assert re.search(rf"{facts.name} {re.escape(facts.title)} {facts.tier} {facts.origin}", words)
    assert words.count("BSD-3-Clause") > 2


def test_names_are_taken_literally_and_folders_are_not_told(page):
    assert "<two>" not in page
    assert "<two> & co.png" in text_of(page)
    assert "Mrs Smith" not in page


def test_what_failed_is_told_first(page):
    words = text_of(page)
    assert words.index("Not evaluated") < words.index("Who took part")
    assert "cells cells.png any cells.png: is not the picture its name says" in words


def test_it_shows_means_with_intervals_per_data_set_and_over_them(page):
    words = text_of(page)
    for protocol in ("ritm", "box"):
        section = words.split(f"Protocol {protocol}", 1)[1]
        assert re.search(r"mean of data sets random_walker classical.*? 0\.\d\d 0\.\d\d to [01]\.\d\d", section)
        assert re.search(r"discs random_walker classical", section)
    assert "NoC@85 (Dice)" in words


def test_it_has_a_drawing_for_each_protocol_and_pictures_of_the_worst_cases(page):
    assert page.count("<svg") == 2
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert len(pictures) == 4 * 4  # models, protocols, and of each the worst four of six
    assert all(Image.open(io.BytesIO(base64.b64decode(picture))).width > 300 for picture in pictures)


def test_an_image_that_is_gone_by_now_has_no_picture(outcome, tmp_path):
    gone = tuple(replace(case, image=tmp_path / case.image.name) for case in outcome.plan.cases)
    later = replace(outcome, plan=replace(outcome.plan, cases=gone))
    page = write_report(later, tmp_path).read_text(encoding="utf-8")
    assert "data:image/png" not in page
    assert "mean of data sets" in page


def test_a_report_of_nothing_but_failures_can_be_written(manifest, tmp_path):
    cases = read_manifest(manifest)[:1]
    cases[0].image.unlink()
    run = Evaluation(Plan(cases), with_floors([]), tmp_path)
    for _ in run.run():
        pass
    assert "one.png" in write_report(run.outcome, tmp_path).read_text(encoding="utf-8")
    assert json.loads(write_results(run.outcome, tmp_path).read_text())["objects"] == []


def test_the_results_hold_every_object_for_machines(outcome, tmp_path):
    path = write_results(outcome, tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert "Mrs Smith" not in path.read_text(encoding="utf-8")
    assert content["header"]["seed"] == 0
    assert content["header"]["protocols"] == ["ritm", "box"]
    walker = content["contestants"][0]
    assert {"name", "tier", "origin", "licence", "digest"} <= walker.keys()
    assert content["header"]["models"]["random_walker"] == walker["digest"]
    assert len(content["objects"]) == len(outcome.trials)
    first = content["objects"][0]
    assert {"dataset", "image", "target", "protocol", "model", "dice", "seconds", "prompts", "nsd"} <= first.keys()
    assert [failure["image"] for failure in content["failures"]] == ["cells.png"]
    assert content["summaries"][0]["estimates"]["dice_1_click"].keys() == {"mean", "low", "high"}
