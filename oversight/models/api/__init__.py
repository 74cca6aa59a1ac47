"""Models behind an API. Each module loads its SDK when a model is first used.

base        what they have in common: names, keys, errors
options     what they can be told, and what is wrong with it
openai      OpenAI, and every server that speaks its chat completions (vLLM, SGLang, llama.cpp, …)
anthropic   Anthropic's messages
litellm     every other provider that litellm knows
"""
