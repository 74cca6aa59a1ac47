"""The written report, over databases that simulated players filled: its numbers, what stands in names, its folder."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from support import TASK, rows

import oversight
from oversight.cli import main
from oversight.episode import Run
from oversight.report import document
from oversight.report.document import plain, write_report
from oversight.report.folder import MARK
from oversight.report.measures import sections, statements
from oversight.report.sections import Section
from oversight.report.terminal import percent
from oversight.store.reading import open_reader

Play = Callable[..., Run]
ARMS = ("direct", "direct:passage=true", "consultancy:rounds=1,ask=false", "debate:rounds=1")
OPEN = ("consultancy:rounds=1,ask=false,side=open", "debate:rounds=1,side=open")
JUDGE = "simulated/judge:accuracy=0.62,credulity=0.9,passage_accuracy=0.95,beliefs=true"
DEBATER = "simulated/debater:truth_advantage=0.9"
FIGURES = (
    "accuracy",
    "differences",
    "rescue-and-harm",
    "win-rates",
    "score-difference",
    "sides",
    "calibration",
    "belief-by-round",
    "frontier",
)
HOSTILE = "<img src=x onerror=alert(1)>|[x](http://evil.example)`*_</details><script>\x1b[31m"


class Page(HTMLParser):
    """Tags with their attributes, and the text, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty questions on ten passages, six arms, both orders, beliefs on the way. Read only."""
    folder = tmp_path_factory.mktemp("simulated") / "toy"
    folder.mkdir()
    (folder / "task.py").write_text(TASK)
    path = folder.parent / "db.duckdb"
    oversight.run((*ARMS, *OPEN), str(folder), JUDGE, DEBATER, limit=40, db=path, order="both")
    return path


@pytest.fixture(scope="module")
def written(simulated: Path) -> Path:
    """The report on it. Read only."""
    out = simulated.parent / "out"
    assert main(["report", "--db", str(simulated), "--out", str(out)]) == 0
    return out


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only texts or the folder matter: figures of no content, which are not drawn."""
    monkeypatch.setattr(document, "draw", lambda _: document.Drawn(b"png", b"svg"))


def found(db: Path, run: int | None = None) -> dict[str, Section]:
    with open_reader(db) as reader:
        return sections(reader, run)


def test_it_is_one_page_one_text_and_each_figure_in_both_formats(written: Path) -> None:
    names = {p.relative_to(written).as_posix() for p in written.rglob("*") if p.is_file()}
    figures = {f"figures/{name}.{ending}" for name in FIGURES for ending in ("png", "svg")}
    assert names == {MARK, "report.md", "report.html", *figures}
    for name in FIGURES:
        assert (written / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        ET.parse(written / "figures" / f"{name}.svg")


def test_the_page_holds_its_figures_and_fetches_nothing(written: Path) -> None:
    page = Page((written / "report.html").read_text())
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "a", "iframe", "object", "svg"})
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == len(FIGURES)
    svgs = {(written / "figures" / f"{name}.svg").read_bytes() for name in FIGURES}
    assert {base64.b64decode(i["src"].removeprefix("data:image/svg+xml;base64,")) for i in images} == svgs
    assert all(i["alt"] for i in images)
    policy = next(attrs for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    addressed = [a for _, attrs in page.tags for a in attrs if a in ("href", "src", "srcset", "action")]
    assert addressed == ["src"] * len(FIGURES)


def test_page_and_text_have_the_same_numbers_which_are_those_of_the_terminals_report(
    simulated: Path, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [cell for s in found(simulated).values() if s.table for row in s.table.rows for cell in row]
    page = Page((written / "report.html").read_text()).text
    html = MarkdownIt().enable("table").render((written / "report.md").read_text())
    text = Page(html).text
    assert len(cells) > 300 and all(cell in page and cell in text for cell in cells)
    main(["report", "--db", str(simulated), "--json"])
    for row in json.loads(capsys.readouterr().out)["accuracy"]:
        assert percent(row["accuracy"]) in page
        assert f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]" in page


def test_every_table_and_figure_carries_sql_that_runs(simulated: Path, written: Path) -> None:
    page, text = (Page((written / "report.html").read_text()).text, (written / "report.md").read_text())
    with open_reader(simulated) as reader:
        for name, section in sections(reader).items():
            assert statements(name), name
            for statement in statements(name).values():
                assert statement in page and statement in text
                if section.figures:
                    assert reader.sql(statement).rows, name


def test_the_sql_of_the_open_split_is_that_of_the_view(simulated: Path) -> None:
    table = found(simulated)["sides"].table
    assert table is not None and len(table.rows) == 4
    by_hand = {
        (protocol, chose): (n, share)
        for protocol, chose, n, share in rows(
            simulated,
            "SELECT protocol, chose_right, count(*), avg(correct::INT) FILTER (status = 'decided') "
            "FROM sides GROUP BY ALL",
        )
    }
    for _, _, arm, chose, sides, _, share, _ in table.rows:
        n, expected = by_hand[arm.partition(":")[0], chose == "right"]
        assert (sides, share) == (f"{n:,}", percent(expected))


def test_the_belief_by_round_is_that_of_the_view(simulated: Path) -> None:
    """One round of two speeches: beliefs after none and after two turns."""
    table = found(simulated)["belief by round"].table
    assert table is not None
    told = {row[3]: row[4] for row in table.rows if row[2] == "debate:rounds=1"}
    sql = (
        "SELECT turn, avg(p_right) FROM beliefs WHERE arm = (SELECT arm FROM arms WHERE protocol = 'debate' "
    )
    by_hand = dict(
        rows(simulated, sql + "AND (params ->> '$.side') = 'assigned') AND (final OR turn < 2) GROUP BY ALL")
    )
    assert told == {"0": percent(by_hand[0]), "1": percent(by_hand[2])}
    sides = {row[2] for row in table.rows if row[2].startswith("consultancy") and "open" not in row[2]}
    assert {s.partition(", ")[2] for s in sides} == {"argued right", "argued wrong"}


def test_the_differences_are_those_of_compare(simulated: Path) -> None:
    table = found(simulated)["differences"].table
    assert table is not None
    frame = oversight.open_database(simulated).compare()
    assert sorted(row[4] for row in table.rows) == sorted(
        f"{100 * d:+.1f} points" for d in frame["difference"]
    )
    assert sorted(row[7] for row in table.rows) == sorted(
        "<0.001" if p < 0.001 else f"{p:.3f}" for p in frame["p_holm"]
    )


def test_of_many_arms_each_is_compared_with_the_floor_and_that_is_said(play: Play, tmp_path: Path) -> None:
    play("direct", *(f"debate:rounds={n}" for n in range(1, 9)), limit=8)
    section = found(tmp_path / "db.duckdb")["differences"]
    assert section.table is not None and len(section.table.rows) == 8
    assert {row[3] for row in section.table.rows} == {"direct (floor)"}
    assert any("9 arms, each compared with direct (floor) only" in line for line in section.said)


def test_a_figure_without_data_says_why_it_is_not_there(play: Play, tmp_path: Path) -> None:
    play("direct", limit=8)
    told = found(tmp_path / "db.duckdb")
    assert [name for name, section in told.items() if section.figures] == ["accuracy", "frontier"]
    reasons = {
        "differences": "only one arm",
        "sides": "side=open",
        "strength": "--opponent",
        "calibration": "elicit=",
        "belief by round": "beliefs=true",
        "belief": "beliefs=true",
        "score difference": "elicit=",
        "win rates": "somebody argues",
        "rescue and harm": "the judge alone",
        "preferences": "no debate",
        "leaks": "somebody argues",
        "readings": "elicit=",
        "gap": "the judge alone",
    }
    for name, words in reasons.items():
        assert words in (told[name].missing or "") and "\n" not in (told[name].missing or "")
        assert told[name].table is None
    out = tmp_path / "out"
    with open_reader(tmp_path / "db.duckdb") as reader:
        files = write_report(reader, out)
    assert {"figures/accuracy.png", "figures/frontier.svg"} < set(
        files
    ) and "figures/strength.png" not in files
    for name in ("report.md", "report.html"):
        assert (out / name).read_text().count("Nothing to show: ") == len(reasons)


def test_undecided_verdicts_are_told_and_never_scored(play: Play, replies: Any, tmp_path: Path) -> None:
    play("direct", "debate:rounds=1", judge=replies('judge: "no idea"\nspeak: so'), limit=8)
    told = found(tmp_path / "db.duckdb")
    ledger = told["ledger"].table
    assert ledger is not None and ledger.rows[-1] == ("sum", "", "", "0", "0", "16", "0", "0", "0", "16")
    assert told["accuracy"].missing == "no verdict was decided" and told["accuracy"].table is not None
    assert {row[3:6] for row in told["accuracy"].table.rows} == {("none", "none", "0.0–100.0")}


def test_accuracy_stands_against_elo_where_debaters_met_each_other_and_themselves(
    play: Play, tmp_path: Path
) -> None:
    debaters = [f"simulated/debater:skill={s},truth_advantage={s}" for s in (0.1, 1.5)]
    play("debate:rounds=1", judge=JUDGE, debater=debaters, opponents=debaters, limit=40, order="both")
    section = found(tmp_path / "db.duckdb")["strength"]
    assert section.table is not None
    weak, strong = (float(row[4]) for row in section.table.rows if row[3] == "rating")
    assert weak < 0 < strong
    (figure,) = section.figures
    assert sorted(round(p.x) for p in figure.drawing.panels[0].points) == sorted([round(weak), round(strong)])


def test_judges_of_one_model_are_told_apart(play: Play, tmp_path: Path) -> None:
    judges = [f"simulated/judge:accuracy={a}" for a in (0.6, 0.9)]
    play("direct", "debate:rounds=1", judge=judges, debater=DEBATER, limit=8)
    table = found(tmp_path / "db.duckdb")["accuracy"].table
    assert table is not None and len({row[1] for row in table.rows}) == 2
    assert {row[2] for row in table.rows} == {"direct (floor)", "debate:rounds=1"}


def test_each_of_several_tasks_has_figures_of_its_own(play: Play, tmp_path: Path, toy: str) -> None:
    play("direct", tasks=[toy, f"{toy}:answers=4"], limit=8)
    section = found(tmp_path / "db.duckdb")["accuracy"]
    assert [figure.name for figure in section.figures] == ["accuracy-1", "accuracy-2"]
    assert "answers=4" in section.figures[1].caption


@pytest.mark.usefixtures("undrawn")
def test_of_one_run_only_what_it_planned_is_reported(play: Play, tmp_path: Path) -> None:
    play("direct", "debate:rounds=1", limit=8)
    play("direct", limit=4)
    out = tmp_path / "out"
    assert main(["report", "--db", str(tmp_path / "db.duckdb"), "--run", "last", "--out", str(out)]) == 0
    text = (out / "report.md").read_text()
    assert "debate:" not in re.sub(r"```sql.*?```", "", text, flags=re.DOTALL) and "4 of 4 judged" in text


# names


@pytest.mark.usefixtures("undrawn")
def test_hostile_names_are_text_in_the_page_and_in_the_markdown(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play("direct", "debate:rounds=1", limit=8)
    told = document.sections

    def hostile(reader: Any, run: int | None) -> dict[str, Section]:
        """As a task, judge and protocol of that name would be told."""
        found = told(reader, run)
        changed = {}
        for name, s in found.items():
            table = s.table and type(s.table)(
                s.table.head, tuple((HOSTILE, *r[1:]) for r in s.table.rows), s.table.names
            )
            figures = tuple(type(f)(f.name, HOSTILE, f.drawing) for f in s.figures)
            changed[name] = type(s)(s.title, (HOSTILE,), figures, HOSTILE, table)
        return changed

    monkeypatch.setattr(document, "sections", hostile)
    with open_reader(tmp_path / "db.duckdb") as reader:
        files = document.document(reader)
    page = Page(files["report.html"].decode())
    assert {t for t, _ in page.tags}.isdisjoint({"script", "a"})
    assert all("onerror" not in attrs for _, attrs in page.tags)
    shown = HOSTILE.replace("\x1b", "\\x1b")
    assert page.text.count(shown) > 20
    html = (
        MarkdownIt("commonmark", {"html": True})
        .enable(["table", "strikethrough"])
        .render(files["report.md"].decode())
    )
    markdown = Page(html)
    kinds = {tag for tag, _ in markdown.tags}
    assert kinds.isdisjoint({"script", "a", "em", "strong", "s"})
    assert {attrs["src"] for tag, attrs in markdown.tags if tag == "img"} == {
        f"figures/{n}.png" for n in ("accuracy", "differences", "rescue-and-harm", "win-rates", "frontier")
    }
    assert markdown.text.count(shown) > 20
    assert b"\x1b" not in files["report.md"] + files["report.html"]


def test_a_hostile_judge_reaches_the_page_as_text(play: Play, tmp_path: Path, replies: Any) -> None:
    """A real one: a model's name is a file's, which may be nearly anything."""
    folder = tmp_path / "<b onclick=x>&'"
    folder.mkdir()
    source = Path(replies().removeprefix("scripted/"))
    (folder / "a|b$x$.yaml").write_text(source.read_text())
    play("direct", "debate:rounds=1", judge=f"scripted/{folder}/a|b$x$.yaml", limit=8)
    with open_reader(tmp_path / "db.duckdb") as reader:
        files = document.document(reader)
    page = Page(files["report.html"].decode())
    assert "<b onclick=x>&'" in page.text and "b" not in {tag for tag, _ in page.tags}
    text = Page(MarkdownIt().enable("table").render(files["report.md"].decode())).text
    assert "<b onclick=x>&'/a|b$x$.yaml" in text


@pytest.mark.parametrize(
    "text", ["debate:rounds=1", "openai/gpt-4o-mini", "62.5 %", "[41.2, 63.0] w", "+4.0", "a_b"]
)
def test_plain_names_and_numbers_stay_readable_in_markdown(text: str) -> None:
    assert plain(text).replace("&#91;", "[").replace("&#93;", "]").replace(r"\_", "_") == text


def test_no_question_and_no_folder_is_in_it(simulated: Path, written: Path) -> None:
    """A report is passed on: it holds no text of a task, which may forbid publishing, and no path of this machine."""
    both = (written / "report.md").read_text() + (written / "report.html").read_text()
    assert "Chronicle" not in both and "Mira Tan" not in both and str(simulated.parent) not in both


# the folder


@pytest.mark.usefixtures("undrawn")
def test_a_folder_of_others_is_refused_and_with_force_keeps_what_it_has(
    play: Play, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play("direct", "debate:rounds=1")
    out, db = tmp_path / "out", str(tmp_path / "db.duckdb")
    (out / "figures").mkdir(parents=True)
    (out / "thesis.tex").write_text("mine")
    (out / "figures" / "mine.png").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", "--db", db, "--out", str(out)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "--force" in err and str(out) in err
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["report", "--db", db, "--out", str(out), "--force"]) == 0
    assert (out / "thesis.tex").read_text() == (out / "figures" / "mine.png").read_text() == "mine"
    assert (out / "report.md").exists()


@pytest.mark.usefixtures("undrawn")
def test_its_own_folder_is_written_again_without_what_is_no_longer_shown(play: Play, tmp_path: Path) -> None:
    play("direct", "debate:rounds=1")
    out, db = tmp_path / "out", str(tmp_path / "db.duckdb")
    assert main(["report", "--db", db, "--out", str(out)]) == 0
    assert (out / "figures" / "differences.png").exists()
    (out / "notes.md").write_text("mine")
    play("direct")
    assert main(["report", "--db", db, "--out", str(out), "--run", "last"]) == 0
    assert not (out / "figures" / "differences.png").exists()
    assert (out / "figures" / "accuracy.png").exists() and (out / "notes.md").read_text() == "mine"


def test_what_fails_on_the_way_leaves_nothing(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play("direct", "debate:rounds=1")
    before = sorted(tmp_path.rglob("*"))
    drawn = []

    def failing(what: Any) -> None:
        drawn.append(what)
        if len(drawn) == 2:
            raise MemoryError

    monkeypatch.setattr(document, "draw", failing)
    with open_reader(tmp_path / "db.duckdb") as reader, pytest.raises(MemoryError):
        write_report(reader, tmp_path / "out")
    assert len(drawn) == 2 and sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("undrawn")
def test_a_disk_that_fails_leaves_the_old_report(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play("direct")
    out = tmp_path / "out"
    with open_reader(tmp_path / "db.duckdb") as reader:
        write_report(reader, out)
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        whole = Path.write_bytes

        def full(path: Path, content: bytes) -> int:
            if path.suffix == ".svg":
                raise OSError(28, "No space left on device")
            return whole(path, content)

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(oversight.UserError, match="No space left"):
            write_report(reader, out)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    "argv, message",
    [
        (("--out", "file"), "is a file"),
        (("--out", "out", "--json"), "choose one"),
        (("--force",), "--out DIR"),
        (("--out", "file/below"), "cannot be made"),
    ],
)
def test_what_a_user_can_mend_is_said_in_one_line(
    play: Play,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: tuple[str, ...],
    message: str,
) -> None:
    play("direct")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(document, "draw", lambda _: document.Drawn(b"png", b"svg"))
    Path("file").write_text("x")
    assert main(["report", "--db", "db.duckdb", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err, err
