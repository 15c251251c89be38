"""The frame of the benchmarks: it refuses what nobody set a goal for, and hides nothing it did not measure."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import report

    yield report
    sys.modules.pop("report")


def measure_all(run):
    """Measure a little."""
    for name, goal in run.goals.items():
        run.bar(name, goal.goal)
    run.n = 3
    run.detail("share of decode", 0.25)


def leave_with(report, measure, *arguments):
    with pytest.raises(SystemExit) as leaving:
        report.main("kill_recover", measure, arguments=arguments)
    return leaving.value.code


def test_every_bar_has_a_title_a_goal_a_known_direction_and_a_source(report):
    sections = tomllib.loads(report.BARS_FILE.read_text())
    goals = [goal for name in sections for goal in report.read_goals(name).values()]
    assert {goal.direction for goal in goals} <= {"at most", "at least"}
    assert all(goal.title and goal.source for goal in goals)


def test_a_benchmark_without_goals_is_refused(report):
    with pytest.raises(KeyError):
        report.Run("unheard_of")


def test_a_bar_nobody_set_a_goal_for_is_refused_and_the_known_ones_are_named(report):
    with pytest.raises(KeyError, match=r"kill_recover has no bar 'kils'.*kills_in_the_viewer"):
        report.Run("kill_recover").bar("kils", 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_measurement_is_refused(report, value):
    with pytest.raises(ValueError, match="no measurement"):
        report.Run("kill_recover").bar("kills", value)


@pytest.mark.parametrize(("value", "holds"), [(199, False), (200, True), (201, True)])
def test_at_least_holds_from_the_goal_upwards(report, value, holds):
    run = report.Run("kill_recover")
    run.bar("kills", value)
    assert run.bars[0].holds is holds


@pytest.mark.parametrize(("value", "holds"), [(1.0, True), (1.1, True), (1.2, False)])
def test_at_most_holds_up_to_the_goal(report, value, holds):
    run = report.Run("click_latency")
    run.bar("click_p50_ratio_300_to_30", value)
    assert run.bars[0].holds is holds


def test_a_full_run_that_reaches_its_goals_leaves_with_0(report):
    assert leave_with(report, measure_all) == 0


def test_a_full_run_that_measured_only_a_part_leaves_with_1_and_says_so(report, capsys):
    assert leave_with(report, lambda run: run.bar("kills", 200)) == 1
    assert "not measured" in capsys.readouterr().out


def test_a_quick_run_judges_only_what_it_measured_and_never_fails(report, capsys):
    assert leave_with(report, lambda run: run.bar("kills", 2), "--quick") == 0
    assert "not measured" not in capsys.readouterr().out


def test_the_json_holds_what_machines_need(report, tmp_path):
    leave_with(report, measure_all, "--json", str(tmp_path / "result.json"))
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["full"], result["n"], result["details"]) == (True, 3, {"share of decode": 0.25})
    assert result["bars"][0] == {"name": "kills", "value": 200, "goal": 200, "holds": True}


def test_a_benchmark_may_have_options_of_its_own(report):
    seen = []
    with pytest.raises(SystemExit):
        report.main(
            "kill_recover",
            lambda run: seen.append(run.options.case),
            add_options=lambda parser: parser.add_argument("--case"),
            arguments=["--quick", "--case", "liver"],
        )
    assert seen == ["liver"]
