"""Models that run here, in torch: `model` is the front, `runner` the thread that owns the weights.

A request goes through chat (templates, hostile text), batching (event loop to worker), prefixes (what
was computed before), then scoring or decode with attention over shared prefixes; `smollm2` fetches the
embedded default, `adapters` puts LoRA adapters on, `memory` is what models on one device share. torch and transformers are imported when a model is opened, not before.
"""
