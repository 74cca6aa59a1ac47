"""Experiment: what a run is asked to do, from one YAML file, the command line or Python."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from oversight.errors import UserError, unknown
from oversight.files import read_text
from oversight.library import split_spec, value_of
from oversight.moves import Pooling
from oversight.secrecy import masked_in
from oversight.yaml_text import BadYaml, read_yaml

Order = Literal["random", "both", "fixed"]

MOST = 10**12
"""Of anything that is counted here: beyond it a number is a slip, and no machine's."""


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


def _number(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would take it for 0 or 1
        raise ValueError("input should be a number")
    return value


def _ways(value: Any) -> Any:
    """`texts+hard` as a list."""
    return [way.strip() for way in value.split("+")] if isinstance(value, str) else value


class Named(BaseModel):
    """A protocol or task with its parameters: `debate:rounds=1`, or `{debate: {rounds: 1}}` in YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    params: dict[str, Any] = {}


def _named(value: Any) -> Any:
    if isinstance(value, str):
        name, params = split_spec(value)
        return {"name": name, "params": params}
    if isinstance(value, Mapping) and len(value) == 1 and "name" not in value:
        ((name, params),) = value.items()
        return {"name": str(name), "params": params or {}}
    if isinstance(value, Mapping) and "name" not in value:
        raise ValueError("one name with its parameters an item: [direct, {debate: {rounds: 1}}]")
    return value


def _member(value: Any) -> Any:
    """A further judge of a panel, as a seat is written."""
    return _seat(value)


class SeatConfig(BaseModel):
    """Who takes a seat, and how: `smollm2:style=quotes,words=60`, or the same as a mapping in YAML.

    `votes` is how many are drawn for elicit=votes. What a speaker (`best_of`, `prefer`, `prefer_by`, `refine`) and
    a judge (`beliefs`, `queries`, `placebo`, `panel`, `pool`, `think`) can do beside: see `oversight.player`.
    `examples` is a YAML file of messages shown first. Options that are none of ours go to the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    model: str
    options: dict[str, Any] = {}
    template: Path | None = None
    style: str | None = None
    elicit: Annotated[list[str] | None, BeforeValidator(_ways)] = None
    votes: int = Field(5, ge=1, le=10_000)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(0, ge=0, lt=2**31)
    stop: list[str] = []
    words: int = Field(150, ge=1)
    quote_words: int = Field(75, ge=0)
    best_of: int = Field(1, ge=1, le=1000)
    prefer: str | None = None
    prefer_by: str | None = None
    refine: int = Field(0, ge=0, le=10)
    beliefs: bool = False
    queries: int = Field(0, ge=0, le=100)
    placebo: bool = False
    panel: Annotated[list[Annotated[SeatConfig, BeforeValidator(_member)]], BeforeValidator(_ways)] = []
    pool: Pooling | None = None
    think: bool = False
    examples: Path | None = None

    @field_validator(
        "best_of",
        "refine",
        "queries",
        "votes",
        "temperature",
        "top_p",
        "max_tokens",
        "words",
        "quote_words",
        mode="before",
    )
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return _number(value)

    def __repr_args__(self) -> Any:
        """Without secrets: options may hold keys, and addresses passwords."""
        return [(name, masked_in(value)) for name, value in super().__repr_args__()]


def _seat(value: Any) -> Any:
    if isinstance(value, str):
        name, options = split_spec(value)
        value = {"model": name, **options}
    elif isinstance(value, Mapping) and isinstance(value.get("model"), str):
        name, options = split_spec(value["model"])
        if twice := options.keys() & value.keys():
            raise ValueError(f"{min(twice)!r} is set twice")
        value = {**value, "model": name, **options}
    if isinstance(value, Mapping):
        own = {k: v for k, v in value.items() if k in SeatConfig.model_fields}
        rest = {k: v for k, v in value.items() if k not in SeatConfig.model_fields}
        typed = {k: value_of(v) if isinstance(v, str) else v for k, v in rest.items()}
        given = own.get("options") or {}
        if not isinstance(given, Mapping):
            raise ValueError("options must be a mapping")
        return {**own, "options": {**given, **typed}}
    return value


Seats = Annotated[list[Annotated[SeatConfig, BeforeValidator(_seat)]], BeforeValidator(_listed)]
Names = Annotated[list[Annotated[Named, BeforeValidator(_named)]], BeforeValidator(_listed)]


class Experiment(BaseModel):
    """A grid: protocols × tasks × judges × speakers × assignments × answer orders × samples.

    `order`: random (by seed, one order a question, the same for every arm), both (that one and its
    reverse) or fixed (as the task gives them). `max_cost` (US dollars) and `max_calls` stop one invocation;
    what is already in the database counts for nothing in them. `consultants`, and other roles that `seats` does
    not name, default to the debaters. `opponents` are debaters that each of the debaters meets, on either side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    protocols: Names = Field(validation_alias=AliasChoices("protocols", "protocol"))
    tasks: Names = Field(validation_alias=AliasChoices("tasks", "task"))
    judges: Seats = Field(default_factory=list, validation_alias=AliasChoices("judges", "judge"))
    debaters: Seats = Field(default_factory=list, validation_alias=AliasChoices("debaters", "debater"))
    consultants: Seats = Field(
        default_factory=list, validation_alias=AliasChoices("consultants", "consultant")
    )
    opponents: Seats = Field(default_factory=list, validation_alias=AliasChoices("opponents", "opponent"))
    seats: dict[str, Seats] = {}
    limit: int | None = Field(None, ge=1, le=MOST)
    seed: int = 0
    order: Order = "random"
    samples: int = Field(1, ge=1, le=MOST)
    db: Path = Path("oversight.duckdb")
    concurrency: int = Field(1000, ge=1, le=MOST)
    batch: bool = False
    max_cost: float | None = Field(None, ge=0, allow_inf_nan=False)
    max_calls: int | None = Field(None, ge=0)

    @field_validator("limit", "seed", "samples", "concurrency", "max_cost", "max_calls", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return _number(value)

    @field_validator("db")
    @classmethod
    def _file_name(cls, db: Path) -> Path:
        if "\0" in str(db):
            raise ValueError("no file can have such a name")
        return db

    @field_validator("seats")
    @classmethod
    def _own_roles(cls, seats: dict[str, Any]) -> dict[str, Any]:
        for role in ("judge", "debater", "consultant"):
            if role in seats:
                raise ValueError(
                    f"{role} has a setting of its own: write {role}: … instead of seats: {role}: …"
                )
        return seats

    def players(self, role: str) -> list[SeatConfig]:
        """Who may play a role: the arms of the grid. Raises `UserError` when nobody was named."""
        named = {
            "judge": self.judges,
            "debater": self.debaters,
            "consultant": self.consultants or self.debaters,
        }
        found = named.get(role, []) if role in named else self.seats.get(role) or self.debaters
        if not found:
            option = f"--{role} " if role in named else f"--seat {role}="
            raise UserError(f"no {role} was named: say {option}MODEL, e.g. {option}smollm2")
        return found


def experiment_from(values: Mapping[str, Any], where: str = "the experiment") -> Experiment:
    """Check values as an `Experiment`. Raises `UserError` naming the first wrong one."""
    try:
        return Experiment.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(f"{where}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    return _said(error.errors()[0])


def _said(first: Any) -> str:
    """One of pydantic's errors as a line."""
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        names = list(Experiment.model_fields) + list(SeatConfig.model_fields)
        return str(unknown("setting", str(first["loc"][-1]), names))
    if first["type"] == "missing":
        return f"{place} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "model_type":
        message = "write a name, name:key=value,key=value, or a mapping"
    return f"{place}: {message[0].lower()}{message[1:]} (given: {reprlib.repr(masked_in(first['input']))})"


def seat_from(spec: str) -> SeatConfig:
    """A seat as the command line writes it: `model:key=value,…`. Raises `UserError` for a wrong value."""
    try:
        seats: list[SeatConfig] = TypeAdapter(Seats).validate_python(spec)
    except ValidationError as error:
        raise UserError(f"{spec!r}: {_first(error)}") from None
    return seats[0]


def load_experiment(path: Path, part: str = "") -> dict[str, Any]:
    """The settings of a YAML file, or of one of its `parts`: the file's, with the part's over them.

    Files and folders that it names (a seat's `template` and `examples`, a task's, protocols and tasks by path) are
    looked for beside it first. Raises `UserError` naming the file and the line that is wrong, what is there
    twice, or the parts there are.
    """
    text, values = _read_file(path)
    parts = values.pop("parts", None) or {}
    wrong = not isinstance(parts, dict) or not all(isinstance(one, dict) for one in parts.values())
    if wrong:
        raise UserError(f"{path}: parts must be a mapping of names to settings")
    if part:
        if part not in parts:
            raise unknown("part", part, map(str, parts), f"(in {path})")
        for name in parts[part]:
            values = {k: v for k, v in values.items() if k not in _same_setting(str(name))}
        values |= parts[part]
    try:
        Experiment.model_validate(values)
    except ValidationError as error:
        missing = all(e["type"] == "missing" for e in error.errors())
        if not missing:  # what is missing may come from the command line
            first = next(e for e in error.errors() if e["type"] != "missing")
            in_part = part and first["loc"] and str(first["loc"][0]) in parts[part]
            place = ("parts", part, *first["loc"]) if in_part else first["loc"]
            line_number = _line_of(text, place)
            raise UserError(
                f"{path}{f', line {line_number}' if line_number else ''}: {_said(first)}"
            ) from None
    return _beside(values, path)


def parts_of(path: Path) -> list[str]:
    """The names of a file's parts. Raises `UserError` for a file that cannot be read."""
    parts = _read_file(path)[1].get("parts")
    return [str(name) for name in parts] if isinstance(parts, dict) else []


def _read_file(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    try:
        values = read_yaml(text)
    except BadYaml as error:
        line = f", line {error.line}" if error.line else ""
        raise UserError(f"{path}{line}: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not an experiment: it must be a mapping with protocols, tasks, judge …")
    return text, values


def _same_setting(name: str) -> tuple[str, ...]:
    """A setting's name and its other spelling: judge and judges are one."""
    return (name, name.removesuffix("s"), f"{name}s")


def _beside(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Settings in which files and folders are found beside the experiment's own file, where they are there: the
    folders of protocols and tasks, files that are parameters of these, and a seat's `template` and `examples`."""
    found = {name: _seats_beside(value, path) for name, value in values.items()}
    for setting in (*_same_setting("protocols"), *_same_setting("tasks")):
        if setting in values:
            found[setting] = [_named_beside(_named(one), path) for one in _listed(values[setting]) or []]
    return found


def _named_beside(value: Any, path: Path) -> Any:
    """A protocol or task. A name with a slash is a folder; a parameter with an ending may be a file."""
    name, params = str(value["name"]), value.get("params") or {}
    files = {k: _placed(v, path) for k, v in params.items() if isinstance(v, str) and Path(v).suffix}
    return {"name": _placed(name, path) if "/" in name else name, "params": {**params, **files}}


def _seats_beside(value: Any, path: Path) -> Any:
    if isinstance(value, list):
        return [_seats_beside(one, path) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        k: _placed(v, path)
        if k in ("template", "examples") and isinstance(v, str)
        else _seats_beside(v, path)
        for k, v in value.items()
    }


def _placed(name: str, path: Path) -> str:
    """Where the file or folder is that an experiment's file names: beside that file, else in the working directory.
    Raises `UserError` where it could be either."""
    beside, here = path.parent / name, Path(name)
    if not beside.exists():
        return name
    if here.exists() and not here.samefile(beside):
        raise UserError(
            f"{path}: {name} is there twice, as {beside} and in the working directory: write the whole path"
        )
    return str(beside)


def _line_of(text: str, place: tuple[int | str, ...]) -> int | None:
    """The line of a YAML text at which a setting stands."""
    node = yaml.compose(text)
    line = None
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
