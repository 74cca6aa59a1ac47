"""Local batching against one hand-batched `generate`, and scoring with and without shared prefixes.

    python benchmarks/local.py [--rows 8 32 128] [--tokens 48] [--model smollm2] [--cpu]

Ratios from one run, ours and theirs in turn, each figure the best of its rounds: machines and their
load differ, ratios less so.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

from oversight.models import open_model
from oversight.models.interface import Completion, Message, Request, Sampling
from oversight.models.local.model import LocalModel

PASSAGE = (
    "The lighthouse at Gull Point was built in 1871 by Anna Brandt, a mason from Bergen. Its lamp burned "
    "whale oil until 1902, when the harbour board paid for gas. In the storm of 1911 the keeper, Olav Lund, "
    "rowed out three times and brought back nineteen sailors from the brig Marianne. "
)
TOPICS = ("the sea", "a harbour", "bread", "the moon", "a clock", "winter", "trains", "a garden")


def prompts(rows: int, shared: bool) -> list[Request]:
    """Chats of mixed lengths: with nothing in common, or about one long passage."""
    out = []
    for i in range(rows):
        if shared:
            text = f"{PASSAGE * 5}\nQuestion {i}: what happened in {1850 + i}?"
        else:
            text = f"Essay {i} about {TOPICS[i % 8]}. " + f"Consider {TOPICS[(i * 3 + 1) % 8]}. " * (
                1 + i % 12
            )
        out.append(
            Request((Message("system", f"You are writer {0 if shared else i}."), Message("user", text)))
        )
    return out


def ours(model: LocalModel, requests: Sequence[Request]) -> list[Completion]:
    """All requests in one burst, with an empty prefix cache."""

    async def burst() -> list[Completion]:
        return await asyncio.gather(
            *(model.score(r) if r.continuations else model.generate(r) for r in requests)
        )

    forget(model)
    return asyncio.run(burst())


def forget(model: LocalModel) -> None:
    """Empty the prefix cache."""
    model._runner._prefixes._root.children.clear()


def theirs(
    reference: Any, tokenizer: Any, ids: Sequence[Sequence[int]], tokens: int
) -> list[tuple[int, ...]]:
    """What one left-padded batch through transformers' `generate` writes."""
    import torch

    width, pad, end = max(map(len, ids)), tokenizer.pad_token_id, tokenizer.eos_token_id
    inputs = torch.tensor([[pad] * (width - len(one)) + list(one) for one in ids])
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in ids])
    with torch.inference_mode():
        out = reference.generate(
            inputs, attention_mask=mask, do_sample=False, max_new_tokens=tokens, pad_token_id=pad
        )[:, width:]
    return [tuple(row[: row.index(end) + 1] if end in row else row) for row in out.tolist()]


def best(rounds: int, clock: Callable[[], float], *sides: Callable[[], float]) -> list[float]:
    """Each side's best rate by `clock`; the sides take turns."""
    rates = [0.0] * len(sides)
    for _ in range(rounds):
        for i, side in enumerate(sides):
            start = clock()
            amount = side()
            rates[i] = max(rates[i], amount / (clock() - start))
    return rates


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument(
        "--cpu", action="store_true", help="count CPU seconds, one thread: for a busy machine"
    )
    options = parser.parse_args()

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from oversight.models.local import smollm2

    clock = time.perf_counter
    if options.cpu:
        torch.set_num_threads(1)
        clock = time.process_time
    model = open_model(options.model, {})
    assert isinstance(model, LocalModel)
    source = smollm2.find() if options.model == "smollm2" else options.model.removeprefix("torch/")
    reference = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    print(f"{'generate, tokens/s':28}{'rows':>6}{'ours':>9}{'by hand':>9}{'ratio':>8}  same text")
    for shared in (False, True):
        for rows in options.rows:
            sampling = Sampling(max_tokens=options.tokens)
            requests = [Request(r.messages, sampling) for r in prompts(rows, shared)]
            ids = [model._chat.prompt(r.messages) for r in requests]
            texts: dict[str, list[Any]] = {}

            def us(requests: list[Request] = requests, texts: dict[str, list[Any]] = texts) -> float:
                texts["ours"] = [one.token_ids for one in ours(model, requests)]
                return sum(map(len, texts["ours"]))

            def them(ids: list[tuple[int, ...]] = ids, texts: dict[str, list[Any]] = texts) -> float:
                texts["theirs"] = theirs(reference, tokenizer, ids, options.tokens)
                return sum(map(len, texts["theirs"]))

            mine, other = best(options.rounds, clock, us, them)
            same = sum(a == b for a, b in zip(texts["ours"], texts["theirs"], strict=True))
            kind = "one shared passage" if shared else "nothing shared"
            print(f"{kind:28}{rows:6}{mine:9.1f}{other:9.1f}{mine / other:8.2f}{same:7}/{rows}", flush=True)

    ends = (" Anna Brandt.", " Olav Lund.", " the harbour board.")
    scored = [
        Request((*r.messages, Message("assistant", "The answer is")), continuations=ends)
        for r in prompts(16, True)
    ]

    def reuse() -> float:
        ours(model, scored)
        return len(scored)

    def again() -> float:
        asyncio.run(_gather(model, scored))
        return len(scored)

    def apart() -> float:
        for request in scored[:2]:
            for end in ends:
                ours(model, [Request(request.messages, continuations=(end,))])
        return 2

    shared_rate, cached_rate, apart_rate = best(options.rounds, clock, reuse, again, apart)
    print(f"\nscore, calls/s (3 continuations, {len(model._chat.prompt(scored[0].messages))} prompt tokens)")
    print(f"  each continuation by itself  {apart_rate:8.2f}")
    print(f"  one batch, empty cache       {shared_rate:8.2f}  x{shared_rate / apart_rate:.1f}")
    print(f"  the same batch again         {cached_rate:8.2f}  x{cached_rate / apart_rate:.1f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak resident memory {peak:.1f} GiB (both models)")
    model.close()


async def _gather(model: LocalModel, requests: Sequence[Request]) -> list[Completion]:
    return await asyncio.gather(*(model.score(r) for r in requests))


if __name__ == "__main__":
    main()
