"""Every other provider, by litellm: `gemini/…`, `bedrock/…`, `mistral/…`, `openrouter/…`, `ollama/…`, …"""

from __future__ import annotations

import difflib
import os
import re
from typing import Any

from oversight.errors import UserError, unknown
from oversight.models.api.openai import OpenAIModel
from oversight.models.interface import Completion, Request

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or importing it asks the network


class LiteLLMModel(OpenAIModel):
    """`<provider>/<model>` as litellm spells it. Keys are in the variables litellm looks for."""

    default_url = ""
    letters = False
    half_price = False

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        if self.batches:
            raise UserError(f"model {name!r} has no batches here: only openai/… and anthropic/… have")
        self.temperatures = (0.0, 2.0)

    def always_reasons(self, features: frozenset[str]) -> bool:
        """See `ApiModel.always_reasons`."""
        return "reasoning" in features

    def url(self, given: str | None) -> str:
        """See `ApiModel.url`: "" leaves it to litellm."""
        return (given or "").rstrip("/")

    @property
    def at_home(self) -> bool:
        """Never: parameters have litellm's common names."""
        return False

    def connect(self, key: str) -> Any:
        """litellm has no client; its module stands in."""
        return _litellm()

    def key(self) -> str:
        """See `ApiModel.key`. litellm says which variables its provider needs."""
        from oversight.models.api.keys import find_key, key_missing

        if self.key_env:
            found = find_key(self.key_env)
            if found is None:
                raise UserError(key_missing(self.name, (self.key_env,)))
            return found
        find_key()  # reads a .env, for litellm looks at the environment
        if self.base_url:
            return "none"
        checked = _litellm().validate_environment(self.name)
        if not checked["keys_in_environment"] and (missing := checked["missing_keys"]):
            raise UserError(key_missing(self.name, tuple(missing)))
        return ""

    async def ready(self) -> None:
        """See `Model.ready`: the key is there, and the model at its `base_url`. Without one there is no call that costs
        nothing with every provider, and a name that litellm's table does not have is refused if it looks misspelt."""
        self._key = self.key()
        supported = self.client.get_supported_openai_params(model=self.name) or []
        self.seeds = "seed" in supported
        if self.base_url:
            await super().ready()
        elif self.check:
            self._check_spelling()

    async def names(self) -> list[str] | None:
        """See `ApiModel.names`. Most servers of one's own list their models as OpenAI does."""
        import openai

        async with openai.AsyncOpenAI(
            api_key=self._key or "none", base_url=self.base_url, max_retries=0
        ) as client:
            try:
                return [model.id for model in (await client.models.list(timeout=30.0)).data or ()] or None
            except openai.APIStatusError:
                return None

    def _check_spelling(self) -> None:
        known = {
            name.removeprefix(f"{self.provider}/")
            for name in _litellm().models_by_provider.get(self.provider, ())
        }
        near = difflib.get_close_matches(self.served_name, known, 1, 0.9)
        if self.served_name in known or not near or _unnumbered(near[0]) == _unnumbered(self.served_name):
            return  # one of another number is newer than the table
        raise unknown(
            f"model of {self.provider} in litellm's table",
            self.served_name,
            known,
            "(check=false takes it as it is)",
        )

    async def done(self) -> None:
        """See `Model.done`."""
        self._client = None
        closing = getattr(_litellm(), "close_litellm_async_clients", None)
        if closing is not None:
            await closing()

    async def ask(self, request: Request) -> Completion:
        """See `ApiModel.ask`."""
        assert self.manners is not None
        body = self.body(request)
        body["model"] = self.name
        if self.base_url:
            body["api_base"] = self.base_url
        if self._key:
            body["api_key"] = self._key
        response = await self.client.acompletion(
            **body, timeout=self.manners.attempt, num_retries=0, max_retries=0, drop_params=False
        )
        return self.read(response, request)


def _unnumbered(name: str) -> str:
    return re.sub(r"[\d.-]+", "-", name)


def _litellm() -> Any:
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm


def check_provider(name: str) -> None:
    """Raise `UserError` for a provider that litellm does not know."""
    known = [str(getattr(p, "value", p)) for p in _litellm().provider_list]
    provider = name.partition("/")[0]
    if provider not in known:
        raise unknown("model provider", provider, known, "(write PROVIDER/MODEL)")
