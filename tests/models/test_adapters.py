"""LoRA adapters: base+adapter says what the merged weights say, and shares the base with its neighbours."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
safetensors = pytest.importorskip("safetensors.torch")

from oversight.errors import ContextOverflow, Transport, UserError  # noqa: E402
from oversight.models.interface import Completion, Message, Request, Sampling  # noqa: E402
from oversight.models.local.adapters import hash_adapter, split_source  # noqa: E402
from oversight.models.local.memory import Device  # noqa: E402
from oversight.models.local.model import LocalModel  # noqa: E402


def _load_tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny = _load_tiny()
PASSAGE = "the lighthouse was built of stone and the tower is in the sea " * 3
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"target_modules": ["q_proj", "v_proj", "down_proj"]}),
    "gpt2": ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
    "dora": ("qwen2", {"target_modules": "all-linear", "use_dora": True}),
    "rank-stabilised": ("llama", {"target_modules": ["k_proj", "o_proj"], "use_rslora": True}),
    "head-saved": ("llama", {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
    "embedding": ("llama", {"target_modules": ["embed_tokens", "v_proj"]}),
    "unshared": ("dynamic-rope", {"target_modules": ["q_proj"]}),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    kinds = {base for base, _ in KINDS.values()} | {"neox"}
    return {kind: tiny.save(kind, tmp_path_factory.mktemp(kind)) for kind in kinds}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory, bases: dict[str, Path]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    made = {
        kind: tiny.save_adapter(bases[base], folder / kind, seed=1, **lora)
        for kind, (base, lora) in KINDS.items()
    }
    made["other"] = tiny.save_adapter(bases["llama"], folder / "other", 2, target_modules=["gate_proj"])
    return made


@pytest.fixture
def opened() -> Iterator[Any]:
    models: list[LocalModel] = []

    def open_(base: Path, adapter: Path | None = None, **options: Any) -> LocalModel:
        source = str(base) if adapter is None else f"{base}+{adapter}"
        models.append(LocalModel(source, device="cpu", **options))
        return models[-1]

    yield open_
    for model in models:
        model.close()


def run(*calls: tuple[LocalModel, Request]) -> list[Completion]:
    """All calls in one burst."""

    async def burst() -> list[Completion]:
        return await asyncio.gather(*(m.score(r) if r.continuations else m.generate(r) for m, r in calls))

    return asyncio.run(burst())


def ask(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


REQUESTS = [
    Request(ask(PASSAGE + "who built it?"), continuations=(" Anna Brandt", " Bergen")),
    Request(ask(PASSAGE + "who was the sea?"), continuations=("Anna", "Bergen tower stone")),
    Request(ask(PASSAGE + "who?"), Sampling(max_tokens=12)),
    Request(ask("stone"), Sampling(max_tokens=20)),
]


def same(got: Completion, expected: Completion) -> bool:
    assert got.token_ids == expected.token_ids and got.text == expected.text
    assert got.scores == (None if expected.scores is None else pytest.approx(expected.scores, abs=1e-3))
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_base_with_adapter_says_what_the_merged_weights_say(
    kind: str, bases: dict[str, Path], adapters: dict[str, Path], opened: Any, tmp_path: Path
) -> None:
    base = bases[KINDS[kind][0]]
    model = opened(base, adapters[kind])
    merged = opened(tiny.save_merged(base, adapters[kind], tmp_path / "merged"))
    plain = opened(base)
    assert model.shares == merged.shares == (kind != "unshared")
    expected = run(*((merged, r) for r in REQUESTS))
    assert all(map(same, run(*((model, r) for r in REQUESTS)), expected))
    assert all(same(run((model, r))[0], e) for r, e in zip(REQUESTS, expected, strict=True))
    assert run((plain, REQUESTS[0]))[0].scores != pytest.approx(expected[0].scores, abs=0.1)


def test_adapters_over_one_base_interleave_and_do_not_mix(
    bases: dict[str, Path], adapters: dict[str, Path], opened: Any
) -> None:
    base = bases["llama"]
    alone = []
    for adapter in (None, adapters["llama"], adapters["other"]):
        model = opened(base, adapter)
        alone.append(run(*((model, r) for r in REQUESTS)))
        model.close()
    models = [opened(base, adapter) for adapter in (None, adapters["llama"], adapters["other"])]
    for _ in range(2):  # the second time prefixes come from the first
        together = run(*((model, r) for r in REQUESTS for model in models))
        for i, expected in enumerate(alone):
            assert all(map(same, together[i::3], expected))
    assert len({one[0].scores for one in alone}) == 3


def test_the_base_is_held_once_and_an_adapter_leaves_it_as_it_was(
    bases: dict[str, Path], adapters: dict[str, Path], opened: Any
) -> None:
    plain = opened(bases["llama"])
    before = {name: p.clone() for name, p in plain._runner._model.named_parameters()}
    others = [
        opened(bases["llama"], max_batch=3),
        *(opened(bases["llama"], adapters[kind]) for kind in ("llama", "other", "head-saved", "embedding")),
    ]
    held = {p.untyped_storage().data_ptr() for p in plain._runner._model.parameters()}
    for model in others:
        assert held <= {p.untyped_storage().data_ptr() for p in model._runner._model.parameters()}
        run(*((model, r) for r in REQUESTS))
    assert all(torch.equal(p, before[name]) for name, p in plain._runner._model.named_parameters())
    wide = opened(bases["llama"], dtype="bf16")
    assert not held & {p.untyped_storage().data_ptr() for p in wide._runner._model.parameters()}


def test_each_model_keeps_prefixes_of_its_own(
    bases: dict[str, Path], adapters: dict[str, Path], opened: Any
) -> None:
    plain, tuned = opened(bases["llama"]), opened(bases["llama"], adapters["llama"])
    assert run((plain, REQUESTS[0]))[0].cached_tokens == 0
    assert run((tuned, REQUESTS[0]))[0].cached_tokens == 0
    assert run((tuned, REQUESTS[0]))[0].cached_tokens > 50


def test_models_on_one_device_share_its_memory(
    bases: dict[str, Path], adapters: dict[str, Path], opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oversight.models.local import memory

    monkeypatch.setattr(memory, "_devices", {})  # what other tests left open takes no part
    monkeypatch.setattr(memory, "free_memory", lambda device: 48_000_000 * 2)
    plain = opened(bases["llama"])
    tokens = (
        48_000_000 // (2 * 3 * 2 * 8 * 4) // 2
    )  # keys and values, layers, heads, dim, fp32; half for prefixes
    assert plain._runner._prefixes.capacity == plain._runner._writer._tokens == tokens
    tuned, third = opened(bases["llama"], adapters["llama"]), opened(bases["llama"], adapters["other"])
    for model in (plain, tuned, third):
        assert model._runner._prefixes.capacity == model._runner._writer._tokens == tokens // 3
    third.close()
    assert tuned._runner._prefixes.capacity == tokens // 2


def test_a_model_that_is_joined_by_others_gives_up_what_exceeds_its_part(
    bases: dict[str, Path], adapters: dict[str, Path], opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oversight.models.local import memory, runner

    monkeypatch.setattr(memory, "_devices", {})
    monkeypatch.setattr(runner, "LEAST", 1)
    a_token = 2 * 3 * 2 * 8 * 4
    # What free memory would come to on a device that holds nothing else.
    free = 2 * 400 * a_token
    monkeypatch.setattr(memory, "free_memory", lambda device: free - plain_held())
    held: list[Any] = []

    def plain_held() -> int:
        return sum(model._runner.held for model in held)

    held.append(opened(bases["llama"]))
    requests = [Request(ask(f"{i} tower sea stone"), continuations=("Anna",)) for i in range(40)]
    run(*((held[0], r) for r in requests))
    assert 100 * a_token < held[0]._runner.held <= 200 * a_token
    opened(bases["llama"], adapters["llama"])
    assert held[0]._runner.held <= 100 * a_token


def test_identity_is_the_contents_of_base_and_adapter(
    bases: dict[str, Path], adapters: dict[str, Path], opened: Any, tmp_path: Path
) -> None:
    base = bases["llama"]
    mine = Path(shutil.copytree(adapters["llama"], tmp_path / "mine"))
    first = opened(base, mine).identity
    assert first == opened(base, adapters["llama"]).identity
    assert first.startswith(opened(base).identity.removesuffix("/fp32") + "+lora:")
    assert len({first, opened(base).identity, opened(base, adapters["other"]).identity}) == 3
    assert opened(base, mine, dtype="bf16").identity == first.replace("/fp32", "/bf16")
    tensors = safetensors.load_file(mine / "adapter_model.safetensors")
    key = next(iter(tensors))
    tensors[key] = tensors[key] + 1e-3
    safetensors.save_file(tensors, mine / "adapter_model.safetensors")
    second = opened(base, mine).identity
    assert second != first
    config = json.loads((mine / "adapter_config.json").read_text())
    (mine / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 16}))
    assert opened(base, mine).identity not in (first, second)


def test_where_the_base_lay_in_training_is_no_part_of_an_adapter(
    adapters: dict[str, Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(adapters["llama"], tmp_path / "copy"))
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "elsewhere"}))
    assert hash_adapter(copy) == hash_adapter(adapters["llama"]) != hash_adapter(adapters["other"])


def test_bf16_runs_the_adapter_in_the_bases_precision(
    bases: dict[str, Path], adapters: dict[str, Path], opened: Any
) -> None:
    model = opened(bases["llama"], adapters["llama"], dtype="bf16")
    assert {p.dtype for p in model._runner._model.parameters()} == {torch.bfloat16}
    exact = run((opened(bases["llama"], adapters["llama"]), REQUESTS[0]))[0].scores
    assert run((model, REQUESTS[0]))[0].scores == pytest.approx(exact, rel=0.1)


def test_an_adapter_has_the_context_of_its_base(
    bases: dict[str, Path], adapters: dict[str, Path], opened: Any
) -> None:
    model = opened(bases["llama"], adapters["llama"])
    assert model.context == 512
    with pytest.raises(ContextOverflow, match="the context has 512"):
        run((model, Request(ask("tower " * 600), Sampling(max_tokens=1))))


def test_closing_one_model_leaves_the_others_of_its_base_at_work(
    bases: dict[str, Path], adapters: dict[str, Path], opened: Any
) -> None:
    plain, tuned = opened(bases["llama"]), opened(bases["llama"], adapters["llama"])
    expected = run((tuned, REQUESTS[2]))[0]
    plain.close()
    assert same(run((tuned, REQUESTS[2]))[0], expected)
    with pytest.raises(Transport, match="closed"):
        run((plain, REQUESTS[2]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "is of type PROMPT_TUNING, not LORA"),
        ({"bias": "all"}, "trained the base's biases"),
        ({"init_lora_weights": "pissa"}, "goes with a base changed by init_lora_weights=pissa"),
        ({"alora_invocation_tokens": [1]}, "uses alora_invocation_tokens"),
        ({"target_modules": ["nowhere"]}, "was made for another model than this base: .*nowhere"),
        ({"target_modules": ["q_proj"]}, "was made for another model than this base: unexpected"),
        ({"r": 8}, "was made for another model than this base: .*size mismatch"),
    ],
)
def test_an_adapter_that_cannot_be_taken_is_refused_in_one_line(
    spoil: dict[str, Any], message: str, bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(adapters["llama"], tmp_path / "spoilt"))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **spoil}))
    refused(f"{bases['llama']}+{folder}", message)


def test_an_adapter_for_another_base_is_refused(bases: dict[str, Path], adapters: dict[str, Path]) -> None:
    refused(f"{bases['neox']}+{adapters['llama']}", "was made for another model than this base")
    refused(f"{bases['qwen2']}+{adapters['gpt2']}", "was made for another model than this base")


def test_an_adapter_cannot_replace_tensors_that_others_share(
    bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path, opened: Any
) -> None:
    plain = opened(bases["llama"])
    expected = run((plain, REQUESTS[0]))[0].scores
    folder = Path(shutil.copytree(adapters["llama"], tmp_path / "greedy"))
    tensors = safetensors.load_file(folder / "adapter_model.safetensors")
    tensors["base_model.model.model.embed_tokens.weight"] = torch.zeros(448, 32)
    safetensors.save_file(tensors, folder / "adapter_model.safetensors")
    refused(f"{bases['llama']}+{folder}", r"replaces the base's own model\.embed_tokens\.weight")
    assert run((plain, Request(REQUESTS[0].messages, continuations=(" x", *REQUESTS[0].continuations))))[
        0
    ].scores[1:] == pytest.approx(expected, abs=1e-4)


def test_missing_adapter_files_are_named(
    bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    base = bases["llama"]
    refused(f"{base}+{tmp_path}/nowhere", "there is no adapter folder .*nowhere")
    refused(f"{base}+", "names no adapter after its plus")
    refused(f"{base}+{tmp_path}", r"holds no adapter_config\.json, as PEFT saves it")
    shutil.copy(adapters["llama"] / "adapter_config.json", tmp_path)
    refused(f"{base}+{tmp_path}", r"holds no adapter_model\.safetensors")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"not tensors")
    refused(f"{base}+{tmp_path}", r"adapter_model\.safetensors cannot be read")
    (tmp_path / "adapter_config.json").write_text("[")
    refused(f"{base}+{tmp_path}", r"adapter_config\.json is no JSON object")
    refused(f"{tmp_path}/nowhere+{adapters['llama']}", "there is no folder .*nowhere")


def refused(source: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        LocalModel(source, device="cpu")
    assert "\n" not in str(raised.value)


def test_a_plus_in_a_folders_own_name_is_no_adapter(tmp_path: Path) -> None:
    base = tmp_path / "a+b"
    base.mkdir()
    assert split_source(str(base)) == (str(base), None)
    assert split_source(f"{base}+me/lora+2") == (str(base), "me/lora+2")
    assert split_source("me/base+me/lora") == ("me/base", "me/lora")


def test_a_device_is_had_by_one_at_a_time_in_the_order_of_asking() -> None:
    device = Device(torch.device("cpu"))
    order: list[int] = []

    def work(i: int) -> None:
        with device.turn():
            order.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(5)]
    with device.turn():
        for waiting, thread in enumerate(threads, start=2):
            thread.start()
            while len(device._queue) < waiting:
                pass
        assert order == []
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_waiting_for_a_device_can_be_given_up() -> None:
    device = Device(torch.device("cpu"))

    def closed() -> None:
        raise Transport("closed")

    raised: list[BaseException] = []

    def wait() -> None:
        try:
            with device.turn(closed):
                pass
        except Transport as error:
            raised.append(error)

    with device.turn():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    with device.turn():  # nobody is left in the queue
        assert len(raised) == 1
