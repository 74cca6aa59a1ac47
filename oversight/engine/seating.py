"""From what an experiment says of a seat to the player that takes it: model, template, sampling, and what it does
beside. What cannot be is refused here, in a line that names the seat."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from oversight.elicit import ELICITATIONS, able, lacks
from oversight.errors import UserError, unknown
from oversight.experiment import Experiment, SeatConfig, seat_from
from oversight.models import open_model
from oversight.models.interface import Message, Model, Sampling
from oversight.player import Judging, Optimised, Player
from oversight.prompts import load_template
from oversight.protocol import Protocol
from oversight.speech import STYLES
from oversight.yaml_text import BadYaml, read_yaml


def players_of(
    protocol: Protocol, experiment: Experiment, models: dict[str, Model]
) -> Iterator[dict[str, Player]]:
    """Who plays: every combination of the players named for each role. Where debaters have opponents, each
    pair is played with either of them as A."""
    roles = [role.name for role in protocol.roles]
    for chosen in itertools.product(*(experiment.players(role) for role in roles)):
        players = {
            role: _player(role, seat, protocol, models) for role, seat in zip(roles, chosen, strict=True)
        }
        for player in players.values():
            _check_preference(player, players["judge"])
        if not experiment.opponents or "debater" not in roles:
            yield players
            continue
        for seat in experiment.opponents:
            own, other = players["debater"], _player("debater", seat, protocol, models)
            _check_preference(other, players["judge"])
            # The role's player takes no seat here: a pair from either list is one pair.
            yield {**players, "debater": own, "A": own, "B": other}
            yield {**players, "debater": other, "A": other, "B": own}


def check_names(seat: SeatConfig) -> None:
    if seat.style is not None and seat.style not in STYLES:
        raise unknown("speaking style", seat.style, STYLES)
    if seat.prefer_by is not None and seat.prefer_by not in PREFERENCES:
        raise unknown("preference", seat.prefer_by, PREFERENCES)
    for n, way in enumerate(seat.elicit or ()):
        if way not in ELICITATIONS:
            raise unknown("elicitation", way, ELICITATIONS)
        if way in (seat.elicit or ())[:n]:
            raise UserError(f"elicit={'+'.join(seat.elicit or ())} names {way!r} twice: name each way once")


def judge_player(seat: SeatConfig, protocol: Protocol, models: dict[str, Model]) -> Player:
    """A judge of a protocol; its models join `models`. Raises `UserError` for a seat that cannot be one."""
    check_names(seat)
    return _player("judge", seat, protocol, models)


PREFERENCES = ("choice", *(way for way in ELICITATIONS if way != "hard"))
"""How the best of several speeches is found: by a choice, or by a way of reading that gives probabilities."""


def _player(role: str, seat: SeatConfig, protocol: Protocol, models: dict[str, Model]) -> Player:
    model = _model(seat.model, seat.options, models)
    sampling = Sampling(temperature_of(seat, model), seat.top_p, seat.max_tokens, tuple(seat.stop))
    if role == "judge":
        _check_elicit(seat, model, sampling)
        _check_not(seat, "speaker", "best_of", "prefer", "prefer_by", "refine")
    else:
        _check_style(seat, model)
        _check_not(seat, "judge", "beliefs", "queries", "placebo", "panel", "pool", "think")
    path = seat.template
    if path is None:
        if protocol.folder is None:
            raise UserError(
                f"protocol {protocol.name!r} comes without a folder of templates: give the {role} a template=FILE"
            )
        path = protocol.folder / f"{role}.jinja"
    return Player(
        role=role,
        model=model,
        template=load_template(path),
        sampling=sampling,
        style=seat.style or "free",
        elicit=_ways(seat, model),
        votes=seat.votes,
        words=seat.words,
        quote_words=seat.quote_words,
        optimised=_optimised(seat, model, sampling, models),
        judging=_judging(seat, model, protocol, models),
        examples=_examples(seat.examples),
    )


def _check_preference(player: Player, judge: Player) -> None:
    """Raise `UserError` where the model that prefers cannot be read as asked."""
    o = player.optimised
    if o.best_of == 1 or o.prefer_by == "choice":
        return
    model = (
        o.prefer if not isinstance(o.prefer, str) else judge.model if o.prefer == "judge" else player.model
    )
    if what := lacks(model, o.prefer_by):
        raise UserError(
            f"model {model.name!r} has no {what}, which prefer_by={o.prefer_by} needs; it can do: choice, "
            f"{', '.join(way for way in able(model) if way in PREFERENCES)}"
        )


def _model(name: str, options: Mapping[str, Any], models: dict[str, Model]) -> Model:
    spelt = repr((name, sorted(options.items())))
    if spelt not in models:
        models[spelt] = open_model(name, dict(options))
    return models[spelt]


def _optimised(seat: SeatConfig, model: Model, sampling: Sampling, models: dict[str, Model]) -> Optimised:
    """How a speaker is optimised. Raises `UserError` where it cannot be."""
    if seat.best_of == 1 and (seat.prefer or seat.prefer_by):
        raise UserError(
            "prefer and prefer_by choose among several speeches: add best_of=4, or leave them out"
        )
    if seat.style == "quotes" and (seat.best_of > 1 or seat.refine):
        raise UserError(
            "style=quotes is a best-of-n already: leave best_of and refine out, or take style=free"
        )
    if seat.style == "prefill" and seat.refine:
        raise UserError("refine writes a speech anew, which style=prefill does not: take style=free")
    if seat.best_of > 1 and sampling.temperature == 0 and not model.stochastic:
        raise UserError(
            f"best_of={seat.best_of} would draw one speech {seat.best_of} times from model {model.name!r} at "
            "temperature 0: give it a temperature, e.g. temperature=0.8"
        )
    prefer: Model | Literal["self", "judge"] = "self"
    if seat.prefer == "judge":
        prefer = "judge"
    elif seat.prefer not in (None, "self"):
        other = seat_from(str(seat.prefer))
        prefer = _model(other.model, other.options, models)
    return Optimised(seat.best_of, prefer, seat.prefer_by or "choice", seat.refine)


def _judging(seat: SeatConfig, model: Model, protocol: Protocol, models: dict[str, Model]) -> Judging:
    """What a judge does beside its verdict. Raises `UserError` where it cannot."""
    ways = _ways(seat, model)
    if seat.think and set(ways) - {"hard", "credence", "votes"}:
        raise UserError(
            f"think=true needs a verdict in words: elicit=hard, credence or votes, not {'+'.join(ways)}"
        )
    if seat.placebo and not seat.queries:
        raise UserError("placebo=true is about the judge's queries: add queries=1, or leave it out")
    if seat.queries and all(role.name == "judge" for role in protocol.roles):
        raise UserError(
            f"queries={seat.queries}: protocol {protocol.name!r} seats nobody whom the judge could ask; leave it "
            "out, or take another protocol"
        )
    if seat.pool is not None and not seat.panel:
        raise UserError("pool is about a panel's verdicts: add panel=MODEL+MODEL, or leave it out")
    panel = tuple(_player("judge", one, protocol, models) for one in seat.panel)
    pool = seat.pool or ("majority" if ways[0] == "hard" else "log_odds")
    firsts = {ways[0], *(one.elicit[0] for one in panel)}
    if panel and pool != "majority" and "hard" in firsts:
        raise UserError(
            f"pool={pool} needs probabilities, which elicit=hard does not give: take another elicit, or pool=majority"
        )
    if any(one.judging != Judging() for one in panel):
        raise UserError("panel: only its first judge, the one that names it, asks and believes on the way")
    return Judging(seat.beliefs, seat.queries, seat.placebo, panel, pool if panel else "log_odds", seat.think)


def _check_not(seat: SeatConfig, whose: str, *names: str) -> None:
    """Raise `UserError` for a setting that is another seat's."""
    for name in names:
        if name in seat.model_fields_set:
            raise UserError(f"{name} is a {whose}'s setting: give it to a {whose}, or leave it out")


def _examples(path: Path | None) -> tuple[Message, ...]:
    """The messages of a file of examples. Raises `UserError` for anything else."""
    if path is None:
        return ()
    try:
        told = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BadYaml) as error:
        raise UserError(f"examples {path} cannot be read: {error}") from None
    way = "a list of {user: …} and {assistant: …}, in turn"
    if not isinstance(told, list) or not told:
        raise UserError(f"examples {path}: write {way}")
    messages = []
    for n, one in enumerate(told):
        role: Literal["user", "assistant"] = "assistant" if n % 2 else "user"
        if not isinstance(one, dict) or list(one) != [role] or not isinstance(one[role], str):
            raise UserError(f"examples {path}, item {n + 1}: write {way}; {role} is due")
        messages.append(Message(role, one[role].strip()))
    if len(messages) % 2:
        raise UserError(f"examples {path}: the last item needs its {{assistant: …}}")
    return tuple(messages)


def _ways(seat: SeatConfig, model: Model) -> tuple[str, ...]:
    return tuple(seat.elicit) if seat.elicit else (model.elicitation,)


def _check_elicit(seat: SeatConfig, model: Model, sampling: Sampling) -> None:
    """Raise `UserError` where a judge's verdicts cannot be read as asked."""
    ways = _ways(seat, model)
    for way in ways:
        if way not in ELICITATIONS:  # the model's own choice; the user's is checked before
            raise unknown(f"elicitation of model {model.name!r}:", way, ELICITATIONS)
        if what := lacks(model, way):
            raise UserError(
                f"model {model.name!r} has no {what}, which elicit={way} needs; "
                f"it can do: {', '.join(able(model))}"
            )
    if "votes" in ways and sampling.temperature == 0 and not model.stochastic:
        raise UserError(
            f"elicit=votes would draw one reply {seat.votes} times from model {model.name!r} at temperature 0: "
            "give the judge a temperature, e.g. temperature=0.7"
        )
    if "votes" in seat.model_fields_set and "votes" not in ways:
        raise UserError(
            f"votes={seat.votes} is for elicit=votes, and this judge has elicit={'+'.join(ways)}: "
            "add elicit=votes or leave votes out"
        )


def _check_style(seat: SeatConfig, model: Model) -> None:
    """Raise `UserError` where a seat cannot speak as asked."""
    if seat.style == "prefill" and not model.prefills:
        styles = ", ".join(
            style for style in STYLES if style != "prefill" and (style != "quotes" or model.scores)
        )
        raise UserError(
            f"model {model.name!r} does not go on from a reply begun for it, which style=prefill needs; "
            f"it can do: {styles}"
        )


def temperature_of(seat: SeatConfig, model: Model) -> float:
    """The temperature a seat's model draws at: the lowest it takes, unless the user set one.

    Raises `UserError` for one it does not take.
    """
    low, high = model.temperatures
    if seat.temperature is None:
        return low
    if not low <= seat.temperature <= high:
        takes = "draws as it likes and takes no temperature" if low == high else f"takes {low:g} to {high:g}"
        raise UserError(f"model {model.name!r} {takes}; temperature is {seat.temperature:g}")
    return seat.temperature
