"""Models that run here: any Hugging Face causal language model with a chat template, batched.

torch and transformers load when a model is opened, not when this module is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oversight.errors import ContextOverflow, OversightError, UserError
from oversight.models.interface import Completion, Model, Request
from oversight.models.local.adapters import find_adapter, hash_adapter, put_on, split_source
from oversight.models.local.batching import Batcher, Job
from oversight.models.local.chat import Chat

if TYPE_CHECKING:
    from oversight.models.local.runner import Runner
    from oversight.models.local.scoring import Query
    from oversight.models.local.writing import Reply

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
HASHED = (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt")


def cache_dir() -> Path:
    """Where downloads and hashes are kept: $OVERSIGHT_CACHE or ~/.cache/oversight."""
    return Path(os.environ.get("OVERSIGHT_CACHE") or Path.home() / ".cache" / "oversight")


class LocalModel(Model):
    """A causal language model from a folder or a hub id, as `torch/<source>`, or with a LoRA adapter (a folder
    or hub id in PEFT's format) as `torch/<base>+<adapter>`; the base may be `smollm2`. An adapted model speaks
    by its base's tokenizer and chat template.

    Models of one base, precision and device hold the base's weights once; each has keys and values of its own.
    `dtype` is fp32, bf16 or fp16 (default: fp32 on a CPU, bf16 on CUDA, fp16 on MPS); only fp32 gives
    the same texts whatever the batch. `device` is cuda, mps or cpu (default: the first there is).
    `max_batch` is how many replies are written at once. `shares` says whether batches share prefixes; it
    is False for models whose attention does not allow it, which run one sequence at a time. `weights` identifies the weights where the
    source's content should not be hashed.

    Raises `UserError` where torch is missing, the source cannot be loaded or it has no chat template, and for
    an adapter that is missing, no plain LoRA, or made for another base.
    """

    kind = "local"
    scores = True
    elicitation = "texts"

    def __init__(
        self,
        source: str | Path,
        *,
        name: str = "",
        dtype: str | None = None,
        device: str | None = None,
        max_batch: int | None = None,
        weights: str = "",
    ) -> None:
        self.name = name or f"torch/{source}"
        try:
            import torch
            import transformers

            from oversight.models.local.memory import held_once, with_own_modules
            from oversight.models.local.runner import Runner
        except ImportError as error:
            raise UserError(f"model {self.name!r} needs torch: pip install 'oversight[local]'") from error
        if dtype is not None and dtype not in DTYPES:
            raise UserError(f"model {self.name!r}: dtype {dtype!r} is not one of {', '.join(DTYPES)}")
        if max_batch is not None and max_batch < 1:
            raise UserError(f"model {self.name!r}: max_batch is {max_batch}; it must be at least 1")
        device = _device(self.name, device)
        dtype = dtype or {"cpu": "fp32", "mps": "fp16"}.get(device.split(":")[0], "bf16")
        base, adapter = split_source(str(source))
        if base == "smollm2":
            from oversight.models.local import smollm2

            base, weights = str(smollm2.find()), smollm2.WEIGHTS
        folder = _folder(self.name, base)
        with _loading(self.name, str(source)):
            lora = find_adapter(self.name, adapter) if adapter is not None else None
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder or base)
            if folder and not weights:
                weights = f"sha256:{hash_folder(folder)}"
            try:
                self._base = held_once(
                    (weights or base, dtype, device), lambda: _load(folder or base, dtype, device)
                )
                model = with_own_modules(self._base)
                if lora is not None:
                    model = put_on(model, lora, self.name)
            except torch.OutOfMemoryError as error:
                raise UserError(f"model {self.name!r} does not fit into the memory of {device}") from error
        text_config = model.config.get_text_config()
        self.context = getattr(text_config, "max_position_embeddings", None)
        weights = weights or f"{base}@{getattr(self._base.config, '_commit_hash', None) or 'unknown'}"
        self.identity = f"{weights}{f'+lora:{hash_adapter(lora)}' if lora else ''}/{dtype}"
        self._chat = Chat(self.name, tokenizer, _eos_ids(model))

        self._runner = Runner(model, self._chat, max_batch)
        self.shares, self.max_batch = self._runner.shares, self._runner.max_batch
        self._batcher = Batcher(self.name, _Desk(self.name, self.context, self._chat, self._runner))
        self._runner.stop = self._batcher.check

    async def generate(self, request: Request) -> Completion:
        """Reply to `request.messages`, in a batch with whatever else is asked at the time.

        Raises `ContextOverflow` if prompt and `max_tokens` exceed the context.
        """
        return await self._batcher.submit("generate", request)

    async def score(self, request: Request) -> Completion:
        """Log-probabilities of `request.continuations` coming after `request.messages`.

        Raises `ContextOverflow` if the prompt and the longest continuation exceed the context.
        """
        return await self._batcher.submit("score", request)

    @property
    def activity(self) -> str:
        """See `Model.activity`."""
        return self._runner.activity

    def close(self) -> None:
        """Stop the worker thread and forget keys and values. Calls still waiting fail with `Transport`."""
        self._batcher.close()
        self._runner.close()


class _Desk:
    """What the worker thread does with a model's calls: see `Work`."""

    def __init__(self, name: str, context: int | None, chat: Chat, runner: Runner) -> None:
        self.name, self.runner = name, runner
        self._context, self._chat = context, chat

    def add(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            with _failing(job):
                item = self._query(job) if job.kind == "score" else self._reply(job)
                if self._context is not None and item.needed > self._context:
                    raise ContextOverflow(self.name, item.needed, self._context)
                self.runner.add(item)

    def advance(self) -> None:
        import torch

        try:
            self.runner.advance()
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise UserError(
                f"{self.name} ran out of memory; lower max_batch (it is {self.runner.max_batch})"
            ) from error

    def reset(self) -> None:
        self.runner.reset()

    def _query(self, job: Job) -> Query:
        from oversight.models.local.scoring import Query

        request = job.request
        prompt = self._chat.prompt(request.messages)
        continuations = (self._chat.continuation(request.messages, prompt, c) for c in request.continuations)
        return Query(prompt, tuple(continuations), _done(job), lambda: job.dropped)

    def _reply(self, job: Job) -> Reply:
        from oversight.models.local.writing import Reply

        return Reply(job.request, self._chat.prompt(job.request.messages), _done(job), lambda: job.dropped)


def open_smollm2(**options: Any) -> LocalModel:
    """The embedded default, SmolLM2-135M-Instruct. `UserError` says how to get it where it is missing."""
    from oversight.models.local import smollm2

    return LocalModel(smollm2.find(), name="smollm2", weights=smollm2.WEIGHTS, **options)


def _done(job: Job) -> Any:
    def done(completion: Completion) -> None:
        job.result = completion

    return done


@contextlib.contextmanager
def _failing(job: Job) -> Iterator[None]:
    """What goes wrong with one request's prompt is that request's failure alone."""
    try:
        yield
    except Exception as error:  # handed to the caller
        job.error = error


def _load(source: str | Path, dtype: str, device: str) -> Any:
    import torch
    import transformers

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        source, dtype=getattr(torch, DTYPES[dtype])
    )
    return model.eval().to(device)


@contextlib.contextmanager
def _loading(name: str, source: str) -> Iterator[None]:
    """Turns the many ways in which loading fails into one line."""
    try:
        with quiet():
            yield
    except OversightError:
        raise
    except Exception as error:  # OSError, ValueError, KeyError, hub and safetensors errors
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"cannot load model {name!r} from {source!r}: {reason}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """transformers without its progress bars."""
    import transformers

    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _device(name: str, wanted: str | None) -> str:
    import torch

    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = wanted.split(":")[0]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(kind, False):
        known = ", ".join(device for device, here in there.items() if here)
        raise UserError(f"model {name!r}: there is no device {wanted!r} here; there is {known}")
    return wanted


def _folder(name: str, source: str) -> Path | None:
    """The local folder that `source` names, or None for a hub id."""
    path = Path(source).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise UserError(f"model {name!r}: the folder {source} holds no config.json")
        return path
    if source.startswith((".", "/", "~")) or path.exists() or source.count("/") > 1:
        raise UserError(f"model {name!r}: there is no folder {source}")
    return None


def _eos_ids(model: Any) -> Sequence[int]:
    for config in (model.generation_config, model.config.get_text_config()):
        eos = getattr(config, "eos_token_id", None)
        if eos is not None:
            return [eos] if isinstance(eos, int) else list(eos)
    return []


def hash_folder(folder: Path) -> str:
    """Hash of what a model folder computes: weights, configuration, tokenizer and chat template.

    Files' hashes are remembered by path, size and time of change, for hashing gigabytes takes minutes.
    """
    remembered = cache_dir() / "hashes.json"
    try:
        known: dict[str, str] = json.loads(remembered.read_text())
    except (OSError, ValueError):
        known = {}
    whole, fresh = hashlib.sha256(), {}
    for file in sorted(folder.iterdir()):
        if file.suffix not in HASHED or not file.is_file():
            continue
        stat = file.stat()
        key = f"{file.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
        if key not in known:
            with file.open("rb") as stream:
                known[key] = fresh[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{file.name}:{known[key]}\n".encode())
    if fresh:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            remembered.parent.mkdir(parents=True, exist_ok=True)
            new = remembered.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps(known))
            new.replace(remembered)
    return whole.hexdigest()[:32]
