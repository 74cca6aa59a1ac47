"""Measures over columns against the same formulas row by row in plain Python, on databases made up at random."""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oversight.measure import bias, calibration, gap, paired, persuasion, scores
from oversight.measure.belief import measure_belief
from oversight.measure.measured import mean_of
from oversight.store.database import open_for_writing
from oversight.store.reading import Reader, open_reader

JUDGE = '{"judge": {"model": "j", "elicit": "letters"}}'
ARMS = {
    1: ("direct", '{"passage": false}'),
    2: ("direct", '{"passage": true}'),
    3: ("debate", '{"rounds": 1}'),
    4: ("consultancy", "{}"),
}
Row = dict[str, Any]


def rows_of(draw: random.Random) -> list[Row]:
    """Episodes of four arms on thirty questions of two to four answers, in both orders, some twice; some verdicts are
    missing, ties or without probabilities."""
    rows = []
    for question, arm, turned, sample in itertools.product(range(30), ARMS, (False, True), (0, 1)):
        if draw.random() < 0.3:
            continue
        answers = 2 + question % 3
        shares = [draw.random() for _ in range(answers)]
        p = [share / sum(shares) for share in shares]
        choice = max(range(answers), key=p.__getitem__) if draw.random() < 0.8 else draw.randrange(answers)
        order = list(range(answers))[:: -1 if turned else 1]
        status = draw.choice(["decided"] * 8 + ["tie", "failed"])
        rows.append(
            {
                "episode": len(rows) + 1,
                "arm": arm,
                "question": question + 1,
                "group": f"g{question // 4}",
                "answers": answers,
                "order": order,
                "argued": draw.randrange(answers) if arm == 4 else None,
                "sample": sample,
                "label": question % answers,
                "status": status,
                "choice": choice if status == "decided" else None,
                "p": None if status == "failed" or draw.random() < 0.1 else p,
                "before": [1 / answers] * answers if draw.random() < 0.5 else None,
            }
        )
    return rows


def store(path: Path, rows: list[Row]) -> None:
    con = open_for_writing(path)
    for arm, (protocol, params) in ARMS.items():
        con.execute("INSERT INTO arms VALUES (?, ?, ?, 'j', NULL, ?)", [arm, protocol, params, JUDGE])
    questions = {row["question"]: row for row in rows}
    for question, row in questions.items():
        names = [f"a{i}" for i in range(row["answers"])]
        con.execute(
            'INSERT INTO questions BY NAME SELECT ? AS question, ? AS answers, ? AS "group"',
            [question, names, row["group"]],
        )
        con.execute("INSERT INTO labels VALUES (?, ?)", [question, row["label"]])
    for row in rows:
        con.execute(
            "INSERT INTO episodes BY NAME SELECT ? AS episode, ? AS arm, 't' AS task, ? AS question, ? AS answer_order, "
            "? AS assignment, ? AS argued, ? AS sample",
            [row[k] for k in ("episode", "arm", "question", "order")]
            + [
                f"consultant={row['argued']}" if row["argued"] is not None else "",
                row["argued"],
                row["sample"],
            ],
        )
        verdict = (
            "INSERT INTO verdicts BY NAME SELECT ? AS episode, ? AS turn, 'j' AS judge, 'letters' AS elicitation, "
            "? AS final, ? AS closing, ? AS status, ? AS choice, ? AS probabilities"
        )
        con.execute(verdict, [row["episode"], 2, True, True, row["status"], row["choice"], row["p"]])
        if row["before"]:
            con.execute(verdict, [row["episode"], 0, False, False, "tie", None, row["before"]])
    con.close()


@pytest.fixture(params=[1, 2, 3])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Reader, list[Row]]]:
    rows = rows_of(random.Random(request.param))
    store(tmp_path / "made.duckdb", random.Random(7).sample(rows, len(rows)))
    with open_reader(tmp_path / "made.duckdb") as reader:
        yield reader, rows


def of_arm(rows: list[Row], arm: int, **wanted: Any) -> list[Row]:
    return [r for r in rows if r["arm"] == arm and all(r[k] == v for k, v in wanted.items())]


def same(found: Any, values: list[float], groups: list[str]) -> None:
    expected = mean_of(values, groups)
    for part in ("value", "error", "low", "high"):
        one, other = getattr(found, part), getattr(expected, part)
        assert one == (None if other is None else pytest.approx(other, rel=1e-12, abs=1e-13))
    assert (found.n, found.groups, found.reason) == (expected.n, expected.groups, expected.reason)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_score_differences(made: tuple[Reader, list[Row]]) -> None:
    reader, rows = made
    rules = {"brier": scores.brier_score, "log": scores.log_score}
    for found in scores.measure_score_differences(reader):
        true, false = defaultdict(list), defaultdict(list)
        for row in (r for r in of_arm(rows, found.arm) if r["p"]):
            answers = range(row["answers"]) if row["argued"] is None else [row["argued"]]
            score = {j: rules[found.rule](row["p"], j) for j in answers}
            if row["label"] in answers:
                true[row["question"]].append(score[row["label"]])
            if wrong := [s for j, s in score.items() if j != row["label"]]:
                false[row["question"]].append(mean(wrong))
        both = sorted(true.keys() & false.keys())
        groups = [f"g{(q - 1) // 4}" for q in both]
        same(found.difference, [mean(true[q]) - mean(false[q]) for q in both], groups)


def test_brier_and_log_loss(made: tuple[Reader, list[Row]]) -> None:
    reader, rows = made
    found = {one.arm: one.of for one in calibration.measure_calibration(reader)}
    assert set(found) == set(ARMS)
    for arm, of in found.items():
        known = [r for r in of_arm(rows, arm) if r["p"]]
        groups = [r["group"] for r in known]
        same(of.brier, [-scores.brier_score(r["p"], r["label"]) for r in known], groups)
        same(of.log_loss, [-scores.log_score(r["p"], r["label"]) for r in known], groups)
        forecasts = [(r["p"][j], j == r["label"]) for r in known for j in r["order"][:-1]]
        for one in of.curve:
            inside = [(p, right) for p, right in forecasts if one.low <= p < one.high or p == one.high == 1]
            assert one.n == len(inside) and one.right == mean([right for _, right in inside])
            assert one.forecast == pytest.approx(mean([p for p, _ in inside]), rel=1e-12)
        assert of.decomposition is not None and sum(one.n for one in of.curve) == len(forecasts)


def test_position(made: tuple[Reader, list[Row]]) -> None:
    reader, rows = made
    for found in bias.measure_position_bias(reader):
        decided = of_arm(rows, found.arm, status="decided")
        assert found.first.of == len(decided)
        assert found.first.won == sum(r["choice"] == r["order"][0] for r in decided)
        cells = defaultdict(list)
        for r in decided:
            cells[r["question"], r["argued"], tuple(r["order"])].append(r["choice"])
        swaps, repeats = defaultdict(list), defaultdict(list)
        for (question, argued, order), chosen in cells.items():
            if len(chosen) > 1:
                pairs = itertools.combinations(chosen, 2)
                repeats[question].append(mean([a != b for a, b in pairs]))
            other = cells.get((question, argued, order[::-1]))
            if other and order < order[::-1]:
                swaps[question].append(mean([a != b for a in chosen for b in other]))
        for part, values in ((found.swapped, swaps), (found.repeated, repeats)):
            same(part, [mean(v) for v in values.values()], [f"g{(q - 1) // 4}" for q in values])
        both = sorted(swaps.keys() & repeats.keys())
        net = [mean(swaps[q]) - mean(repeats[q]) for q in both]
        same(found.net, net, [f"g{(q - 1) // 4}" for q in both])


def test_belief(made: tuple[Reader, list[Row]]) -> None:
    reader, rows = made
    for found in measure_belief(reader):
        paths = [r for r in of_arm(rows, found.arm) if r["before"] and r["p"]]
        groups = [r["group"] for r in paths]
        moved = [sum((a - b) ** 2 for a, b in zip(r["before"], r["p"], strict=True)) for r in paths]
        reduced = [sum(p * (1 - p) for p in r["before"]) - sum(p * (1 - p) for p in r["p"]) for r in paths]
        same(found.of.movement, moved, groups)
        same(found.of.excess, [m - d for m, d in zip(moved, reduced, strict=True)], groups)
        (step,) = found.of.steps
        logs = [[math.log(max(p[r["label"]], 0.01)) for p in (r["before"], r["p"])] for r in paths]
        same(step.change, [after - before for before, after in logs], groups)


def answered(rows: list[Row], arm: int) -> dict[int, float]:
    cells: dict[int, dict[Any, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for r in of_arm(rows, arm):
        cells[r["question"]][r["argued"], tuple(r["order"])].append(r)
    found = {}
    for question, of in cells.items():
        decided = [
            [r["choice"] == r["label"] for r in cell if r["status"] == "decided"] for cell in of.values()
        ]
        if all(decided):
            found[question] = mean([mean(cell) for cell in decided])
    return found


def test_differences_and_the_gap(made: tuple[Reader, list[Row]]) -> None:
    reader, rows = made
    of = {arm: answered(rows, arm) for arm in ARMS}
    for a, b in itertools.combinations(ARMS, 2):
        shared = sorted(of[a].keys() & of[b].keys())
        found = paired.measure_difference(reader, "t", a, b, unmatched=True)
        same(found.difference, [of[a][q] - of[b][q] for q in shared], [f"g{(q - 1) // 4}" for q in shared])
    for one in gap.measure_gap(reader):
        shared = sorted(of[1].keys() & of[2].keys() & of[one.arm].keys())
        same(one.of.gap, [of[2][q] - of[1][q] for q in shared], [f"g{(q - 1) // 4}" for q in shared])
        assert one.of.protocol == pytest.approx(mean([of[one.arm][q] for q in shared]), rel=1e-12)


def test_rescue_and_harm(made: tuple[Reader, list[Row]]) -> None:
    reader, rows = made

    def cells(arm: int) -> dict[Any, float]:
        found = defaultdict(list)
        for r in of_arm(rows, arm, status="decided"):
            found[r["question"], tuple(r["order"])].append(r["choice"] == r["label"])
        return {key: mean(values) for key, values in found.items()}

    alone = cells(1)
    for found in persuasion.measure_rescue_and_harm(reader):
        helped = cells(found.arm)
        both = alone.keys() & helped.keys()
        assert found.rescue.of == pytest.approx(sum(1 - alone[c] for c in both), rel=1e-12)
        assert found.rescue.won == pytest.approx(sum((1 - alone[c]) * helped[c] for c in both), rel=1e-12)
        assert found.harm.won == pytest.approx(sum(alone[c] * (1 - helped[c]) for c in both), rel=1e-12)
