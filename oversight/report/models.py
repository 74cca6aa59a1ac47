"""Models in a terminal: which there are, what is known of one, and what came of trying it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from oversight.engine.about import AboutModel, AboutProvider
from oversight.engine.doctor import Finding
from oversight.report.safe import cell


def print_providers(rows: Sequence[AboutProvider]) -> None:
    """Each way of naming a model: what it is, whether its key is there, how its verdicts can be read."""
    for row in rows:
        _line(cell(row.name, "bold"), "  ", cell(row.doc))
        said = [f"{name} {'is set' if there else 'is not set'}" for name, there in row.keys.items()]
        said += [f"missing: {row.missing}"] if row.missing else []
        said += [f"elicit={'|'.join(row.elicitations)}"] if row.elicitations else []
        if said:
            _line("    ", cell("; ".join(said)))


def print_models(rows: Sequence[AboutModel]) -> None:
    """What is known of each model, and under it what to mind."""
    for number, row in enumerate(rows):
        if number:
            print()
        _line(cell(row.name, "bold"))
        for name, value in _facts(row):
            _line(cell(f"  {name:22}", "dim"), cell(value))
        for warning in row.warnings:
            _line(cell("  ! ", "yellow"), cell(warning))


def print_finding(finding: Finding) -> None:
    """One line of a doctor's."""
    mark = ("works", "green") if finding.works else ("does not work", "red")
    advice = cell(f"; {finding.advice}", "bold") if finding.advice else ""
    _line(f"{finding.what:22}", mark, ": ", cell(finding.said), advice)


def _line(*parts: str | Text | tuple[str, str]) -> None:
    Console(highlight=False, soft_wrap=True).print(Text.assemble(*parts))


def _facts(row: AboutModel) -> list[tuple[str, str]]:
    low, high = row.temperature
    able = {
        "images": row.images,
        "structured output": row.structured,
        "prefill": row.prefill,
        "log-probs of letters": row.log_probs,
        "log-probs of texts": row.scores,
    }
    has, lacks = ([name for name, there in able.items() if there is wanted] for wanted in (True, False))
    facts = [
        ("kind", row.kind),
        ("identity", row.identity),
        ("address", row.address),
        ("key", row.key),
        ("price", _price(row)),
        ("context", "unknown" if row.context is None else f"{row.context:,} tokens"),
        ("hidden reasoning", f"up to {row.hidden:,} tokens a reply" if row.hidden else ""),
        ("temperature", f"{low:g} to {high:g}" if low < high else "draws as it likes"),
        ("can", ", ".join(has)),
        ("cannot, or unknown", ", ".join(lacks)),
        (
            "elicit",
            " | ".join(f"{e} (default)" if e == row.usual_elicitation else e for e in row.elicitations),
        ),
        ("withdrawn on", row.retires or ""),
    ]
    return [(name, value) for name, value in facts if value]


def _price(row: AboutModel) -> str:
    if row.price_in is None or row.price_out is None:
        return "unknown"
    if not (row.price_in or row.price_out):
        return "free"
    parts = [f"${row.price_in:g} in, ${row.price_out:g} out"]
    parts += [f"${row.price_cached:g} cached"] if row.price_cached is not None else []
    batch = f"; in batches {row.batch:.0%} of it" if row.batch is not None and row.batch < 1 else ""
    return f"{', '.join(parts)} per million tokens{batch}"
