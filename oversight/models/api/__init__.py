"""Models behind an API. Each module loads its SDK when a model is first used.

base        what they have in common: names, keys, options, errors
openai      OpenAI, and every server that speaks its chat completions (vLLM, SGLang, llama.cpp, …)
anthropic   Anthropic's messages
litellm     every other provider that litellm knows
"""
