"""Tiny random models with a tokenizer of their own, in the shapes that real architectures have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = (
    "the a of and to in is was who built lighthouse answer question Anna Brandt Bergen stone tower sea " * 4
)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRICT = (  # no system role, strictly alternating, a text-only turn marker
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}"
    "{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(template: str | None = TEMPLATE) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    bpe.train_from_iterator([WORDS], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|end|>"
    )
    fast.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    fast.chat_template = template
    return fast


def config(kind: str) -> Any:
    import transformers as t

    common: dict[str, Any] = {
        "vocab_size": 448,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "initializer_range": 0.5,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    few = {**common, "num_key_value_heads": 2}
    sliding = ["sliding_attention", "full_attention", "sliding_attention"]
    match kind:
        case "llama":
            return t.LlamaConfig(**few)
        case "qwen2":
            return t.Qwen2Config(**few)
        case "mistral-window":
            return t.MistralConfig(**few, sliding_window=6)
        case "gemma2-window-softcap":
            return t.Gemma2Config(
                **few,
                head_dim=8,
                sliding_window=6,
                layer_types=sliding,
                query_pre_attn_scalar=8,
                attn_logit_softcapping=2.0,
            )
        case "gemma3-window":
            return t.Gemma3TextConfig(**few, head_dim=8, sliding_window=6, layer_types=sliding)
        case "neox":
            return t.GPTNeoXConfig(**common)
        case "gpt2":
            return t.GPT2Config(
                vocab_size=448,
                n_positions=512,
                n_embd=32,
                n_layer=3,
                n_head=4,
                initializer_range=0.5,
                bos_token_id=1,
                eos_token_id=2,
            )
        case "dynamic-rope":
            return t.LlamaConfig(
                **few, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
            )
        case "mamba":
            return t.MambaConfig(
                vocab_size=448,
                hidden_size=32,
                state_size=4,
                num_hidden_layers=2,
                initializer_range=0.5,
                bos_token_id=1,
                eos_token_id=2,
                pad_token_id=0,
            )
    raise ValueError(kind)


def save(kind: str, folder: Path, template: str | None = TEMPLATE) -> Path:
    """A model folder with random weights."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config(kind))
    model.save_pretrained(folder)
    tokenizer(template).save_pretrained(folder)
    return folder


def save_adapter(base: Path, folder: Path, seed: int, **lora: Any) -> Path:
    """An adapter folder for a model folder, with random weights that change what the model says."""
    import warnings

    import peft
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = peft.LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, task_type="CAUSAL_LM", **lora)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft's own, about training
        peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


def save_merged(base: Path, adapter: Path, folder: Path) -> Path:
    """A model folder with an adapter's weights added into the base's, by peft."""
    import warnings

    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
        model.merge_and_unload().save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder
