"""A fictional ontology: made-up kinds, rules about them, and the one chain of rules that proves a statement.

The recipe of PrOntoQA (Saparov & He 2023): a chain of rules applied by modus ponens, rules that do not
apply beside it, and words that mean nothing, so that nothing can be remembered. Added to it: a rule may
speak of what something is not, so that every step of a chain is as often negated as not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from oversight import Dice


def _split(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


# A word of a kind is a beginning, a vowel, an inner consonant and an end. No beginning is a vowel, so that
# "a" is always right.
_BEGIN = _split("b,bl,br,d,dr,f,fl,g,gl,gr,j,k,kl,kr,l,m,n,p,pl,pr,r,s,sk,sl,sm,sn,st,t,tr,v,w,y,z")
_VOWELS = _split("a,e,i,o,u")
_INNER = _split("b,d,g,l,m,n,p,r,rb,rd,rl,rv,lm,lv,mb,mp,nd,nk,nt,sk,st,tt,z,zz")
_END = _split("ax,eb,ib,olk,onk,oog,ulf,ulp,yx,esk,omp,ung,ov,arp,imp,ool,ux,att,ork,eld")
_RUDE = _split("tit,nig,fag,slut,kunt,wank,poo,naz,neg,rap,jiz,dild")
_QUALITIES = _split(
    """amber, bitter, blue, bright, brittle, bumpy, cold, crimson, damp, dull, dusty, earthy, feisty, floral,
    fragrant, fruity, furry, glossy, grey, hollow, hot, kind, large, loud, luminous, mean, melodic, metallic,
    moderate, nervous, opaque, orange, patient, quiet, round, salty, sharp, shy, silent, slow, small, smooth,
    soft, sour, spicy, sticky, striped, sweet, tall, transparent, velvety, wooden, woolly"""
)
NAMES = _split(
    """Ada, Alex, Amara, Ben, Bianca, Carlo, Dalia, Edgar, Elena, Fay, Felix, Gita, Hugo, Ida, Ines, Ivan, Jonas,
    Kira, Leon, Lila, Marek, Max, Mina, Nadia, Noel, Olga, Oscar, Petra, Polly, Quinn, Rex, Rosa, Sally, Sam,
    Stella, Tara, Theo, Uma, Viola, Wren, Yara, Zoe"""
)


@dataclass(frozen=True, slots=True)
class Literal:
    """That something is, or is not, of a kind ("a brelvax") or of a quality ("sour")."""

    what: str
    kind: bool
    holds: bool = True

    @property
    def negated(self) -> Literal:
        return replace(self, holds=not self.holds)

    @property
    def text(self) -> str:
        """As what follows "is": "not a brelvax"."""
        return ("" if self.holds else "not ") + self.noun

    @property
    def noun(self) -> str:
        return f"a {self.what}" if self.kind else self.what


@dataclass(frozen=True, slots=True)
class Rule:
    """Whatever is `given` is `then`. `wording` is one of two ways to say it."""

    given: Literal
    then: Literal
    wording: int = 0

    @property
    def text(self) -> str:
        """One sentence, without its full stop. "Every x is not y" could be read in two ways and is not said."""
        if self.given.kind and self.given.holds:
            if not self.then.holds:
                return f"No {self.given.what} is {self.then.noun}"
            return f"{('Every', 'Each')[self.wording]} {self.given.what} is {self.then.noun}"
        return f"{('Whatever is', 'Anything that is')[self.wording]} {self.given.text} is {self.then.text}"


@dataclass(frozen=True, slots=True)
class Ontology:
    """Somebody (`name`) of whom `chain[0]` is given, from which `proof` derives the rest of `chain` step by
    step. `rules` are those of the proof and those that do not apply or lead elsewhere, mixed."""

    name: str
    chain: tuple[Literal, ...]
    proof: tuple[Rule, ...]
    rules: tuple[Rule, ...]

    @property
    def text(self) -> str:
        """The rules and, last as in PrOntoQA, the fact that they are to be applied to."""
        return " ".join(f"{rule.text}." for rule in self.rules) + f" {self.name} is {self.chain[0].text}."


def draw_ontology(dice: Dice, hops: int, distractors: int) -> Ontology:
    """An ontology with a proof of `hops` rules and as many rules beside it as `distractors` says.

    Every derived literal is negated or not by a fair coin of its own.
    """
    words = _Words(dice)
    chain = [words.kind()]
    for hop in range(hops):
        chain.append(words.kind() if dice.below(3) < (2 if hop < hops - 1 else 1) else words.quality())
        if dice.coin():
            chain[-1] = chain[-1].negated
    proof = tuple(Rule(a, b, dice.below(2)) for a, b in pairwise(chain))
    beside = _beside(dice, words, chain)
    rules = dice.mixed([*proof, *(next(beside) for _ in range(distractors))])
    return Ontology(dice.pick(NAMES), tuple(chain), proof, tuple(rules))


def _beside(dice: Dice, words: _Words, chain: list[Literal]) -> Iterator[Rule]:
    """Rules from which nothing follows that the proof's own do not settle, endlessly.

    First mirrors of the proof's rules, from the last one back to the second: what would follow if things were
    otherwise. With them no step of the proof can be left out, and as many rules end in the conclusion as in its
    contrary. (A proof of one rule has PrOntoQA's own distractor instead: a kind that nobody is of would have the
    contrary.) Then rules that lead to a literal of the chain, or its contrary, from such a kind, and rules that
    lead away from one. What a rule leads away to is in no other rule, so none contradict each other.
    """
    for given, then in reversed(list(pairwise(chain))[1:]):
        yield Rule(given.negated, then.negated, dice.below(2))
    if len(chain) == 2:
        yield Rule(words.kind(), chain[-1].negated, dice.below(2))
    while True:
        if dice.coin():
            literal = dice.pick(chain[1:])
            yield Rule(words.kind(), literal if dice.coin() else literal.negated, dice.below(2))
        else:
            away = words.kind() if dice.coin() else words.quality()
            yield Rule(dice.pick(chain), away if dice.coin() else away.negated, dice.below(2))


class _Words:
    """Words of one ontology: no quality twice, no two kinds that begin alike."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._qualities = dice.mixed(_QUALITIES)
        self._begun: set[str] = set()

    def kind(self) -> Literal:
        dice = self._dice
        while True:
            begin = dice.pick(_BEGIN) + dice.pick(_VOWELS)
            word = begin + dice.pick(_INNER) + dice.pick(_END)
            if begin not in self._begun and not any(rude in word for rude in _RUDE):
                self._begun.add(begin)
                return Literal(word, True)

    def quality(self) -> Literal:
        """A quality; a kind, where all qualities are spoken for."""
        return Literal(self._qualities.pop(), False) if self._qualities else self.kind()
