"""Whether a call costs the same however many came before it: CPU, memory, and bytes of the file.

    python benchmarks/flat.py [--calls 1000 10000 100000 400000] [--repeat 3]

Whole processes, instant models, three-round debates, everything stored: up to 500 questions, each debated so
often as it takes. CPU a call and memory as ratios of the largest run to the smallest that fills the places of
1,000 debates at once; memory to the second largest as well, for what is remembered up to a bound fills within some
60,000 calls; the file against the compressed size of the distinct text in it.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import zlib
from pathlib import Path

import duckdb
from measured import Took, debates, machine, process, verdict

QUESTIONS, PLACES = 500, 1_000

TEXT = {  # each text once, as it is stored
    "messages": "SELECT content FROM messages",
    "replies": 'SELECT "text" || private FROM calls',
    "passages": "SELECT text FROM passages",
    "questions": "SELECT text || array_to_string(answers, ' ') FROM questions",
}


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, nargs="+", default=[1_000, 10_000, 100_000, 400_000])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    print(
        f"{'calls':>8}{'seconds':>9}{'CPU ms a call':>15}{'peak MiB':>10}{'file MB':>9}{'distinct text':>15}{'compressed':>12}{'file/compressed':>17}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        idle = statistics.median(_play(folder, 1)[1].cpu for _ in range(options.repeat))
        rows = [_row(folder, calls, options.repeat, idle) for calls in options.calls]
        _parts(folder / "b.duckdb")
    full = [calls >= 7 * PLACES for calls in options.calls]
    first_cpu, first_peak = rows[full.index(True) if any(full) else 0]
    (_, before), (last_cpu, last_peak) = rows[-2:] if len(rows) > 1 else rows * 2
    print(f"CPU a call, last to first       {verdict(last_cpu / first_cpu, 1.2)}")
    print(f"CPU ms a call against its bar   {verdict(last_cpu, 0.5)}")
    print(f"peak memory, last to first      {verdict(last_peak / first_peak, 1.2)}")
    print(f"peak memory, last to one before {verdict(last_peak / before, 1.2)}")


def _play(folder: Path, number: int) -> tuple[int, Took]:
    """How many calls were made, and what it took."""
    db = folder / "b.duckdb"
    db.unlink(missing_ok=True)
    samples = math.ceil(number / QUESTIONS)
    limit = round(number / samples)
    options = ("--samples", str(samples), "--concurrency", str(PLACES), "--db", db.name)
    return limit * samples * 7, process(debates(folder, limit, *options), folder)


def _row(folder: Path, calls: int, repeat: int, idle: float) -> tuple[float, float]:
    """CPU milliseconds a call, start not counted, and the peak in MiB."""
    played = [_play(folder, calls // 7) for _ in range(repeat)]
    db = folder / "b.duckdb"
    wall = statistics.median(took.wall for _, took in played)
    cpu = statistics.median(1000 * (took.cpu - idle) / made for made, took in played)
    peak = statistics.median(took.peak for _, took in played)
    text, packed = _distinct(db)
    size = db.stat().st_size
    print(
        f"{calls:8}{wall:9.1f}{cpu:15.3f}{peak:10.0f}{size / 1e6:9.1f}{text / 1e6:15.1f}{packed / 1e6:12.1f}{size / packed:17.2f}",
        flush=True,
    )
    return cpu, peak


def _distinct(db: Path) -> tuple[int, int]:
    """Bytes of the distinct text in a file, and of the same compressed."""
    size, packed = 0, 0
    with duckdb.connect(str(db), read_only=True) as con:
        for sql in TEXT.values():
            pack = zlib.compressobj(6)
            cursor = con.execute(f"SELECT DISTINCT * FROM ({sql})")
            while rows := cursor.fetchmany(10_000):
                data = "".join(text for (text,) in rows).encode()
                size, packed = size + len(data), packed + len(pack.compress(data))
            packed += len(pack.flush())
    return size, packed


def _parts(db: Path) -> None:
    """Where the file's bytes are, by table: blocks of 256 KiB."""
    with duckdb.connect(str(db), read_only=True) as con:
        tables = [name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        sizes = {}
        for table in tables:
            sizes[table] = con.execute(
                f"SELECT count(DISTINCT block_id) FROM (SELECT block_id FROM pragma_storage_info('{table}') "
                f"UNION ALL SELECT unnest(additional_block_ids) FROM pragma_storage_info('{table}')) WHERE block_id >= 0"
            ).fetchall()[0][0]
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:6]
    print("blocks:", ", ".join(f"{table} {blocks}" for table, blocks in largest))


if __name__ == "__main__":
    main()
