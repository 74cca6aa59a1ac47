"""The beliefs of real judges, Michael et al. 2023: what is told of the imported debates is what their JSON says.

The truth here is read from the raw files by this test alone: every distribution that the judge in the room gave, the
number of speeches before it, and which debater was right.
"""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from oversight.measure.belief import measure_belief
from oversight.measure.calibration import measure_calibration
from oversight.measure.scores import measure_score_differences
from oversight.store.imports import bring
from oversight.store.reading import Reader, open_reader

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "transcripts" / "nyu_human_debate"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="no ../shared/data/transcripts/nyu_human_debate beside the checkout"
)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Any:
    db = tmp_path_factory.mktemp("nyu") / "db.duckdb"
    bring("nyu", DATA, db)
    with open_reader(db) as reader:
        yield reader


Kind = tuple[bool, str, str]
"""In the paper or not, debate or consultancy, human or GPT-4."""


def raw() -> dict[Kind, list[dict[str, Any]]]:
    """Each judged debate's story, places with beliefs, and what was right, by kind."""
    found: dict[Kind, list[dict[str, Any]]] = {}
    for entry in json.loads((DATA / "debates-metadata.json").read_text(encoding="utf-8")):
        room = json.loads(
            (DATA / "debates" / "official" / f"{entry['name']}.json").read_text(encoding="utf-8")
        )
        setup, place, ended = room["setup"], 0, False
        beliefs: dict[int, tuple[str, list[float]]] = {}  # of two at one place the later stays
        for phase in room["rounds"]:
            ((kind, said),) = phase.items()
            if kind.endswith("Speeches"):
                place += len(said["speeches"])
            elif kind == "JudgeFeedback":
                who = said["feedback"]["speaker"]
                beliefs[place] = who, said["distribution"]
                ended = said["endDebate"]
                texts = [part["Text"]["text"] for part in said["feedback"]["content"] if "Text" in part]
                quotes = any("Quote" in part for part in said["feedback"]["content"])
                place += (quotes or bool("".join(texts).strip())) and not ended
        if not ended:
            continue
        setting = entry["setting"]
        key = (
            bool(entry["includedInPaper"]),
            "debate" if setting["isDebate"] else "consultancy",
            "human" if setting["isHuman"] else "GPT-4",
        )
        path = [belief for _, (judge, belief) in sorted(beliefs.items()) if judge == who]  # some handed over
        argued = {role[-1] for role in setup["roles"] if role.startswith("Debater")}
        found.setdefault(key, []).append(
            {
                "story": setup["sourceMaterial"]["QuALITYSourceMaterial"]["articleId"],
                "right": [b[setup["correctAnswerIndex"]] for b in path],
                "honest": None if len(argued) == 2 else "AB".index(*argued) == setup["correctAnswerIndex"],
            }
        )
    return found


def clustered(values: list[float], groups: list[str]) -> tuple[float, float]:
    """Mean and clustered standard error, by the formula."""
    n, mean = len(values), math.fsum(values) / len(values)
    sums: dict[str, float] = {}
    for value, group in zip(values, groups, strict=True):
        sums[group] = sums.get(group, 0.0) + value - mean
    g = len(sums)
    return mean, math.sqrt(g / (g - 1) * math.fsum(s * s for s in sums.values())) / n


def kinds(reader: Reader) -> dict[tuple[str, int], Kind]:
    sql = "SELECT DISTINCT e.task, a.arm, a.protocol, a.speaker FROM episodes e JOIN arms a USING (arm)"
    return {(task, arm): ("false" not in task, name, who) for task, arm, name, who in reader.sql(sql).rows}


def test_movement_reduction_and_steps_of_every_kind_of_debate(reader: Reader) -> None:
    told = {kinds(reader)[row.task, row.arm]: row.of for row in measure_belief(reader)}
    expected = {}
    for kind, debates in raw().items():
        moving = [d for d in debates if len(d["right"]) > 1]
        if moving:
            expected[kind] = moving
    assert told.keys() == expected.keys() and len(told) >= 4
    assert sum(len(d) for d in expected.values()) > 500
    for kind, debates in expected.items():
        groups = [d["story"] for d in debates]
        paths = [d["right"] for d in debates]
        moved = [math.fsum(2 * (b - a) ** 2 for a, b in pairwise(p)) for p in paths]
        reduced = [2 * p[0] * (1 - p[0]) - 2 * p[-1] * (1 - p[-1]) for p in paths]
        excess = [m - r for m, r in zip(moved, reduced, strict=True)]
        of = told[kind]
        assert of.paths == len(debates), kind
        for measured, values in ((of.movement, moved), (of.reduction, reduced), (of.excess, excess)):
            mean, error = clustered(values, groups)
            assert (measured.value, measured.error) == pytest.approx((mean, error), rel=1e-9), kind
            assert measured.groups == len(set(groups))
        for step in of.steps:
            i = step.number
            change = [math.log(max(p[i], 0.01)) - math.log(max(p[i - 1], 0.01)) for p in paths if len(p) > i]
            assert step.change.n == len(change)
            assert step.change.value == pytest.approx(math.fsum(change) / len(change), abs=1e-12)
        assert len(of.steps) == max(map(len, paths)) - 1


def test_brier_score_and_what_arguing_the_truth_is_worth(reader: Reader) -> None:
    scored = {kinds(reader)[row.task, row.arm]: row.of for row in measure_calibration(reader)}
    gains = {
        kinds(reader)[row.task, row.arm]: row.difference
        for row in measure_score_differences(reader)
        if row.rule == "brier"
    }
    for kind, debates in raw().items():
        final = [d["right"][-1] for d in debates]
        brier, error = clustered([2 * (1 - p) ** 2 for p in final], [d["story"] for d in debates])
        found = scored[kind]
        assert found.verdicts == len(debates)
        assert found.brier.value == pytest.approx(brier)
        assert found.brier.error is None or found.brier.error == pytest.approx(error)
        if kind == (True, "debate", "human"):
            # A question's debates are averaged first; the questions of the paper were debated up to twice.
            assert 4 * min(final) - 2 <= (gains[kind].value or 0) <= 4 * max(final) - 2
            assert gains[kind].value == pytest.approx(4 * sum(final) / len(final) - 2, abs=0.1)
