"""A run with undecided verdicts of every kind in known numbers shows exactly those numbers wherever it is told."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

import oversight
from oversight.cli import main

TASK = '''
from oversight import Label, Question, task

@task(asymmetry="the helpers read the passage", source="made up", licence="CC0", generated=True)
def numbered(*, seed: int):
    """Numbered questions, two on a passage."""
    n = 0
    while True:
        yield Question(f"Which of number {n}?", (f"yes {n}", f"no {n}"), passage=f"Text {n // 2}.", group=f"g{n // 2}",
                       source_id=str(n)), Label(n % 2)
        n += 1
'''

PLAYERS = '''
import re
from oversight import Completion, ContextOverflow, Transport
from oversight.errors import Rejected

KINDS = {kinds}

def kind(request):
    number = int(re.search(r"\\d+", request.view.question)[0])
    return KINDS[number]

def helper(request):
    """Speaks; asked for a side of its own, it names none where it is undecided."""
    if request.view.act == "speak":
        return "It is so."
    return "Who could say?" if kind(request) == "undecided" else "Answer: A"

def played(request):
    """Replies of each kind, by the question's number."""
    match kind(request):
        case "unparsable": return "I have no idea."
        case "refused": return Completion("I would rather not.", stop="refused", prompt_tokens=1, completion_tokens=1)
        case "tie": return "A: 50 %\\nB: 50 %"
        case "transport": raise Transport("the server is away", again=False)
        case "filter": return Completion("", stop="filter", prompt_tokens=1, completion_tokens=1)
        case "truncated": return Completion("Let me think about", stop="length", prompt_tokens=1, completion_tokens=1)
        case "empty": return Completion("", prompt_tokens=1, completion_tokens=0)
        case "context": raise ContextOverflow("played", 9000, 4096)
        case "rejected": raise Rejected("not this one")
    return "A: 80 %\\nB: 20 %"
'''

NUMBERS = {
    "unparsable": 3,
    "refused": 2,
    "tie": 5,
    "transport": 1,
    "filter": 4,
    "truncated": 6,
    "empty": 7,
    "context": 8,
    "rejected": 9,
    "undecided": 10,
    "decided": 21,
}
"""No two alike, so that none can stand for another."""
PLANNED = sum(NUMBERS.values())
WORDS = ("decided", "tie", "unparsable", "refused", "failed", "unfinished")
FAILURES = ("transport", "filter", "truncated", "empty", "context", "rejected")
OPEN = "consultancy:ask=false,rounds=1,side=open"

failed = sum(NUMBERS[reason] for reason in FAILURES)
alone = {w: NUMBERS.get(w, 0) for w in WORDS} | {"failed": failed, "decided": 31}
consulted = {w: NUMBERS.get(w, 0) for w in WORDS} | {"failed": failed + 10}
stopped = dict.fromkeys(WORDS, 0) | {"unfinished": PLANNED}
LEDGER = {"direct (floor)": alone, OPEN: consulted, "debate:rounds=1": stopped}
"""Who names no side, where nobody is asked for one, decides."""


class Tables(HTMLParser):
    """The tables of a page, as lists of rows of text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which all this was played, by the command line."""
    folder = tmp_path_factory.mktemp("ledger")
    (folder / "numbered").mkdir()
    (folder / "numbered" / "task.py").write_text(TASK)
    kinds = [kind for kind, n in NUMBERS.items() for _ in range(n)]
    (folder / "ledger_players.py").write_text(PLAYERS.replace("{kinds}", repr(kinds)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        who = ("--task", "./numbered", "--judge", "scripted/ledger_players:played:elicit=credence", "-q")
        who += ("--limit", str(PLANNED), "--db", "db.duckdb")
        helped = (
            "--consultant",
            "scripted/ledger_players:helper",
            "--debater",
            "scripted/ledger_players:helper",
        )
        assert main(["run", "direct", "consultancy:rounds=1,ask=false,side=open", *who, *helped]) == 1
        assert main(["run", "debate:rounds=1", *who, *helped, "--max-calls", "1"]) == 3
    return folder


@pytest.fixture
def tell(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    def tell(*argv: str, status: int = 0) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "200")
        assert main([*argv, "--db", "db.duckdb"]) == status
        return capsys.readouterr().out

    return tell


def row(protocol: str, params: str, of: dict[str, Any]) -> dict[str, int]:
    return {word: of[word] for word in WORDS}


def by_arm(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    names = {"direct": "direct (floor)", "consultancy": OPEN, "debate": "debate:rounds=1"}
    return {names[r["protocol"]]: {word: int(r[word]) for word in WORDS} for r in rows}


def printed(text: str, heading: str = "ledger") -> dict[str, dict[str, int]]:
    """The ledger of a terminal's report: columns that are all zero are left out of it."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(heading + " "))
    columns = lines[start].split()[1:]
    found = {}
    for line in lines[start + 2 :]:
        match = re.match(r"(.+?)\s{2,}([\d, ]+)$", line.rstrip())
        if match is None and line.strip("─ "):
            break
        if match is None:
            continue
        numbers = [int(n.replace(",", "")) for n in match[2].split()]
        told = dict(zip(columns, numbers, strict=True))
        assert told.pop("episodes") == sum(told.values())
        found[match[1].strip()] = {word: told.get(word, 0) for word in WORDS}
    return found


def summed() -> dict[str, int]:
    return {word: sum(of[word] for of in LEDGER.values()) for word in WORDS}


def test_the_terminals_report_and_its_json(tell: Callable[..., str]) -> None:
    text = tell("report")
    shown = printed(text)
    assert shown.pop("sum") == summed()
    assert {k.split(" (")[0]: v for k, v in shown.items()} == {k.split(" (")[0]: v for k, v in LEDGER.items()}
    told = json.loads(tell("report", "--json"))["accuracy"]
    assert by_arm(told) == LEDGER
    for one in told:
        decided, undecided = one["decided"], one["episodes"] - one["decided"]
        right = round((one["accuracy"] or 0) * decided)
        assert one["episodes"] == PLANNED
        assert one["worst"] == right / PLANNED and one["best"] == (right + undecided) / PLANNED


def test_the_written_report_in_both_formats(tell: Callable[..., str], folder: Path) -> None:
    tell("report", "--out", "written")
    page = Tables((folder / "written" / "report.html").read_text(encoding="utf-8")).tables
    from markdown_it import MarkdownIt

    text = MarkdownIt().enable("table").render((folder / "written" / "report.md").read_text(encoding="utf-8"))
    for tables in (page, Tables(text).tables):
        (table,) = [t for t in tables if t and t[0][-1] == "episodes" and "unparsable" in t[0]]
        assert table[0][-7:] == [*WORDS, "episodes"]
        told = [(name, row) for row in table[1:-1] for name in LEDGER if name in row]
        assert len(told) == 3
        rows = {name: dict(zip(WORDS, map(int, row[-7:-1]), strict=True)) for name, row in told}
        assert rows == LEDGER
        assert [int(row[-1]) for row in [*(r for _, r in told), table[-1]]] == [PLANNED] * 3 + [3 * PLANNED]
        assert table[-1][-7:-1] == [str(n) for n in summed().values()]


def verdicts(rows: list[tuple[str, str, str | None]]) -> dict[tuple[str, str, str | None], int]:
    return dict(Counter(rows))


def of_each_reason() -> dict[tuple[str, str, str | None], int]:
    """protocol, status, reason → final verdicts."""
    counted: dict[tuple[str, str, str | None], int] = {}
    for protocol, ledger in (("direct", alone), ("consultancy", consulted)):
        for word in ("decided", "tie", "unparsable", "refused"):
            counted[protocol, word, None] = ledger[word]
        for reason in FAILURES:
            counted[protocol, "failed", reason] = NUMBERS[reason]
    counted["consultancy", "failed", "undecided"] = NUMBERS["undecided"]
    return counted


def test_the_views_and_every_reason(tell: Callable[..., str]) -> None:
    sql = "SELECT protocol, status, reason, count(*) AS n FROM {} GROUP BY ALL"
    for view in ("judgements", "readings"):
        rows = csv.reader(io.StringIO(tell("query", sql.format(view), "--format", "csv")))
        next(rows)
        assert {(p, s, r or None): int(n) for p, s, r, n in rows} == of_each_reason(), view
    told = json.loads(tell("query", "SELECT * FROM accuracy", "--format", "json"))
    words = [w for w in WORDS if w != "unfinished"]
    assert {r["protocol"]: [r[w] for w in words] for r in told} == {
        "direct": [alone[w] for w in words],
        "consultancy": [consulted[w] for w in words],
    }
    wrong = "SELECT count(*) AS n FROM judgements WHERE status <> 'decided' AND (correct IS NOT NULL OR choice IS NOT NULL)"
    assert json.loads(tell("query", wrong, "--format", "json")) == [{"n": 0}]


def test_python(folder: Path) -> None:
    db = oversight.open_database(folder / "db.duckdb")
    assert by_arm(db.accuracy.to_dict("records")) == LEDGER
    frame = db.judgements
    rows = zip(frame["protocol"], frame["status"], frame["reason"], strict=True)
    assert verdicts([(p, s, r if isinstance(r, str) else None) for p, s, r in rows]) == of_each_reason()


@pytest.mark.parametrize("format_", ["parquet", "jsonl"])
def test_exports(tell: Callable[..., str], folder: Path, format_: str) -> None:
    tell("export", format_, "--out", format_)
    path = folder / format_ / f"judgements.{format_}"
    read = "read_json_auto" if format_ == "jsonl" else "read_parquet"
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT protocol, status, reason FROM {read}('{path}')").fetchall()
    assert verdicts(rows) == of_each_reason()


def test_inspect_logs_score_what_was_decided_and_nothing_else(tell: Callable[..., str], folder: Path) -> None:
    import zipfile

    tell("export", "inspect", "--out", "logs")
    scored = 0
    samples = 0
    for log in (folder / "logs").rglob("*.eval"):
        with zipfile.ZipFile(log) as archive:
            for name in archive.namelist():
                if name.startswith("samples/"):
                    samples += 1
                    scored += bool(json.loads(archive.read(name)).get("scores"))
    assert (scored, samples) == (alone["decided"] + consulted["decided"], 2 * PLANNED)


def test_compare(tell: Callable[..., str]) -> None:
    (told,) = json.loads(tell("compare", "consultancy", "direct", "--json"))["comparisons"]
    for side, ledger in (("a", consulted), ("b", alone)):
        assert {w: told[f"{w}_{side}"] for w in WORDS} == ledger
    left_out = PLANNED - consulted["decided"]
    assert (told["shared"], told["left_out"], told["questions"]) == (PLANNED, left_out, consulted["decided"])
    text = tell("compare", "consultancy", "direct")
    shown = printed(text)
    assert shown == {OPEN: consulted, "direct": alone} or shown == {OPEN: consulted, "direct (floor)": alone}
    assert f"{left_out} of {PLANNED} shared questions left out" in text
