"""LoRA adapters in PEFT's format: found, identified, and put onto a base model."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from oversight.errors import UserError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

PLAIN_STARTS = ("gaussian", "orthogonal", "eva")
"""Ways of starting a LoRA's training that leave the base's weights as they are."""


def split_source(source: str) -> tuple[str, str | None]:
    """`base+adapter` as its two sources; None for no adapter. A folder's own name may hold a plus."""
    if "+" not in source or Path(source).expanduser().is_dir():
        return source, None
    cuts = [i for i, char in enumerate(source) if char == "+"]
    at = next((i for i in cuts if Path(source[:i]).expanduser().is_dir()), cuts[0])
    return source[:at], source[at + 1 :]


def find_adapter(name: str, source: str) -> Path:
    """The folder of an adapter, fetched where `source` is a hub id. Raises `UserError` naming what is missing."""
    if not source:
        raise UserError(f"model {name!r} names no adapter after its plus")
    folder = Path(source).expanduser()
    if not folder.is_dir():
        if source.startswith((".", "/", "~")) or folder.exists() or source.count("/") != 1:
            raise UserError(f"model {name!r}: there is no adapter folder {source}")
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(source, allow_patterns=[CONFIG, WEIGHTS]))
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise UserError(f"model {name!r}: the adapter {source} holds no {file}, as PEFT saves it")
    return folder


def hash_adapter(folder: Path) -> str:
    """Hash of what an adapter computes: its weights, and its configuration but for where its base once lay."""
    config = _config(folder)
    config.pop("base_model_name_or_path", None)
    whole = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    with (folder / WEIGHTS).open("rb") as stream:
        whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()[:32]


def put_on(model: Any, folder: Path, name: str) -> Any:
    """`model` with the adapter in it, in the model's own dtype and on its device.

    Its modules are changed, the tensors they had are not. Raises `UserError` for an adapter that is no plain
    LoRA, or was made for another model.
    """
    try:
        import peft
    except ImportError as error:
        raise UserError(f"model {name!r} needs peft: pip install 'oversight[local]'") from error
    settings, tensors = _config(folder), _tensors(folder, name)
    if wrong := _refusal(settings, tensors, {tensor for tensor, _ in model.named_parameters()}):
        raise UserError(f"model {name!r}: the adapter {folder} {wrong}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what peft says to those who train
        try:
            config = peft.PeftConfig.from_pretrained(str(folder))
            config.inference_mode = True
            around = peft.PeftModel(model, config, autocast_adapter_dtype=False)
            result: Any = peft.set_peft_model_state_dict(around, tensors)
        except (RuntimeError, ValueError, KeyError) as error:
            raise UserError(_misfit(name, folder, " ".join(str(error).split()))) from error
    absent = [key for key in result.missing_keys if ".default" in key]
    if absent or result.unexpected_keys:
        key = (absent or result.unexpected_keys)[0]
        raise UserError(_misfit(name, folder, f"{'missing' if absent else 'unexpected'} {key}"))
    return around.get_base_model().eval()


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise UserError(f"the adapter's {folder / CONFIG} is no JSON object: save it again")
    return config


def _tensors(folder: Path, name: str) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise UserError(f"model {name!r}: {folder / WEIGHTS} cannot be read: {error}") from error
    # Where an embedding has an adapter, peft saves the base's own beside it.
    return {key: tensor for key, tensor in tensors.items() if ".base_layer." not in key}


def _refusal(config: dict[str, Any], tensors: Iterable[str], base: set[str]) -> str:
    """Why an adapter of that configuration and with tensors of those names is not taken; "" where it is.

    `base` are the names of the base's tensors: other models share them, so nothing may be loaded into them.
    """
    if config.get("peft_type") != "LORA":
        return f"is of type {config.get('peft_type')}, not LORA"
    for odd in ("alora_invocation_tokens", "layer_replication"):
        if config.get(odd):
            return f"uses {odd}, which is not supported here"
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start not in PLAIN_STARTS:
        return f"goes with a base changed by init_lora_weights={start}: convert it to a plain LoRA with peft"
    if config.get("bias", "none") != "none":
        return f"trained the base's biases (bias={config['bias']}): train it with bias=none"
    saved = set(config.get("modules_to_save") or ())
    for key in tensors:
        name = key.removeprefix("base_model.model.")
        if name in base and not saved & set(name.split(".")):
            return f"replaces the base's own {name}: save it with save_embedding_layers=False"
    return ""


def _misfit(name: str, folder: Path, reason: str) -> str:
    short = reason if len(reason) <= 200 else reason[:199] + "…"
    return f"model {name!r}: the adapter {folder} was made for another model than this base: {short}"
