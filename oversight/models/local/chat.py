"""Chat messages to token ids and back, for a Hugging Face tokenizer.

The chat template's own markup is the only thing that may become special tokens. A message that
contains such markup (a debater writing "<|im_end|>") is encoded as the plain characters it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from oversight.errors import UserError
from oversight.models.interface import Message


class Chat:
    """Encodes prompts and decodes replies with `tokenizer`'s chat template.

    `end_ids` are the tokens that end a reply: `eos_ids` (the model's own) and whatever the template
    puts after an assistant's message.
    """

    def __init__(self, name: str, tokenizer: Any, eos_ids: Iterable[int] = ()) -> None:
        if not tokenizer.chat_template:
            raise UserError(f"model {name!r} has no chat template; use an instruction-tuned model")
        self.name = name
        self._tokenizer = tokenizer
        added = {i: t.content for i, t in tokenizer.added_tokens_decoder.items()}
        special = set(tokenizer.all_special_ids)
        # Runs of blanks are tokens of some vocabularies; they are no markup, and splitting them would hurt.
        self.guarded = {i: c for i, c in added.items() if i in special or c.strip()}
        self._takes_system = self._probe_system()
        self.end_ids = frozenset(eos_ids) | self._end_of_turn()

    def prompt(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of `messages` up to where the reply begins; a final assistant message is left open."""
        return tuple(self._encode(*self._split(messages)))

    def continuation(
        self, messages: Sequence[Message], prompt: tuple[int, ...], text: str
    ) -> tuple[int, ...]:
        """Token ids of `text` coming after `prompt` (which is `self.prompt(messages)`).

        After a prefill the two are tokenised together, as one would write them, unless a token would
        straddle the boundary; then, and where there is no prefill, `text` is tokenised by itself.
        """
        chat, prefill = self._split(messages)
        if prefill and not self._forged(prefill + text):
            joint = tuple(self._encode(chat, prefill + text))
            if joint[: len(prompt)] == prompt:
                return joint[len(prompt) :]
        return tuple(self._plain(text))

    def text(self, ids: Sequence[int], after: int | None = None) -> str:
        """The text of `ids` without special tokens. `after`, a prefill's last token, keeps a leading blank
        that some tokenizers drop at the start of a text."""
        if after is None or after in self.guarded:
            return self._decode(ids)
        head, whole = self._decode([after]), self._decode([after, *ids])
        return whole[len(head) :] if whole.startswith(head) else self._decode(ids)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _split(self, messages: Sequence[Message]) -> tuple[list[Message], str]:
        """The messages to template, and the prefill that follows them."""
        merged: list[Message] = []
        for message in messages:
            if merged and merged[-1].role == message.role:
                merged[-1] = Message(message.role, merged[-1].content + "\n\n" + message.content)
            else:
                merged.append(message)
        prefill = merged.pop().content if len(merged) > 1 and merged[-1].role == "assistant" else ""
        if not self._takes_system:
            merged = _fold_system(merged)
        return merged, prefill

    def _encode(self, messages: list[Message], prefill: str) -> list[int]:
        """Token ids of the templated `messages` followed by `prefill`."""
        contents = [m.content for m in messages]
        if not any(self._forged(text) for text in (*contents, prefill)):
            return self._ids(self._render(messages) + prefill)
        # A content is replaced by a mark, the template's text is encoded around the marks, and each
        # content by itself, as plain characters.
        marks = [f"\ue000{i}\ue001" for i in range(len(messages))]
        while any(mark in text for mark in marks for text in contents):
            marks = [f"\ue000{mark}\ue001" for mark in marks]
        rest = self._render([Message(m.role, mark) for m, mark in zip(messages, marks, strict=True)])
        ids: list[int] = []
        while rest:
            places = [(rest.find(mark), mark) for mark in marks if mark in rest]
            at, mark = min(places, default=(len(rest), ""))
            ids += self._ids(rest[:at])
            if mark:
                ids += self._plain(contents[marks.index(mark)])
            rest = rest[at + len(mark) :]
        return ids + self._plain(prefill)

    def _render(self, messages: list[Message]) -> str:
        chat = [{"role": m.role, "content": m.content} for m in messages]
        try:
            text: str = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # templates raise jinja2 errors of their own wording
            roles, reason = ", ".join(m.role for m in messages), " ".join(str(error).split())
            raise UserError(f"{self.name}: its chat template refuses the roles {roles}: {reason}") from error
        return text

    def _ids(self, text: str) -> list[int]:
        if not text:
            return []
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _forged(self, text: str) -> bool:
        """Whether `text`, encoded as it is, would hold a special token."""
        if any(markup in text for markup in self.guarded.values()):
            return True
        return any(i in self.guarded for i in self._ids(text))

    def _plain(self, text: str) -> list[int]:
        """Token ids of `text` with no special token among them."""
        if not text:
            return []
        if not self._forged(text):
            return self._ids(text)
        out = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        ids: list[int] = out["input_ids"]
        if not any(i in self.guarded for i in ids):
            return ids
        # Added tokens that are not marked special (a "<think>") survive that: cut the text inside one.
        spans = [(text.find(c), c) for c in self.guarded.values() if len(c) > 1 and c in text]
        if not spans:
            raise UserError(f"{self.name}: cannot encode {text[:40]!r} without special tokens")
        at = min(spans)[0] + 1
        return self._plain(text[:at]) + self._plain(text[at:])

    def _probe_system(self) -> bool:
        """Whether the template takes a system message and shows it."""
        chat = [{"role": "system", "content": "sysprobe"}, {"role": "user", "content": "x"}]
        try:
            return "sysprobe" in self._tokenizer.apply_chat_template(chat, tokenize=False)
        except Exception:  # the template's own way of refusing
            return False

    def _end_of_turn(self) -> set[int]:
        """The special token that the template puts after an assistant's message, if it is one."""
        chat = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "endprobe"}]
        try:
            text = self._tokenizer.apply_chat_template(chat, tokenize=False)
        except Exception:  # the template's own way of refusing
            return set()
        tail = self._ids(text.rpartition("endprobe")[2])
        return set(tail[:1]) & set(self._tokenizer.all_special_ids)


def _fold_system(messages: list[Message]) -> list[Message]:
    """The system messages' text put at the head of the first user message."""
    system = [m.content for m in messages if m.role == "system"]
    rest = [m for m in messages if m.role != "system"]
    if not system:
        return rest
    if rest and rest[0].role == "user":
        return [Message("user", "\n\n".join([*system, rest[0].content])), *rest[1:]]
    return [Message("user", "\n\n".join(system)), *rest]
