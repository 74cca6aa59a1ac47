"""How many tokens a call can come to, without a tokenizer: for estimates and budgets, never for the record.

A prompt is taken to have a token for every three bytes of ASCII and every two of other UTF-8, 8 more a
message for its markup, and 1,600 an image. Tokenizers in use make fewer of prose (about one for four
letters); text that is mostly digits or rare scripts can come to more.
"""

from __future__ import annotations

from functools import lru_cache

from oversight.models.interface import Message, Model, Price, Request

A_MESSAGE = 8
AN_IMAGE = 1600


def tokens_of(text: str) -> int:
    """The most tokens a text is taken to have."""
    size = len(text.encode("utf-8", "surrogatepass"))
    plain = size if size == len(text) else sum(char < "\x80" for char in text)
    return -(-plain // 3) + -(-(size - plain) // 2)


@lru_cache(maxsize=20_000)
def _of_message(message: Message) -> int:
    return tokens_of(message.content) + A_MESSAGE + AN_IMAGE * len(message.images)


def most_tokens(model: Model, request: Request) -> tuple[int, int]:
    """The most tokens of a call's prompt, and of its reply with hidden reasoning (of its continuations,
    where it scores)."""
    prompt = sum(_of_message(m) for m in request.messages) + tokens_of(request.schema)
    if request.continuations:
        return prompt, sum(tokens_of(c) for c in request.continuations)
    return prompt, request.sampling.max_tokens + model.hidden


def most_dollars(price: Price, prompt: int, reply: int) -> float:
    """The most that so many tokens can cost, in US dollars: nothing read from a cache, all written to one."""
    return prompt * max(price.input, price.cache_write or 0.0, price.cached or 0.0) + reply * price.output
