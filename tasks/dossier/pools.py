"""Words that every setting shares: names, towns, belongings. No two of a kind look alike."""

from __future__ import annotations


def _split(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split(","))


# Forms differ by at least three letters, so that a small model, or a tired person, does not mix them up.
WOMEN = _split(
    """Mira, Adaeze, Beatrix, Chiara, Dorothea, Esperanza, Freya, Giulietta, Hanneke, Ingrid, Jovana, Kamala,
    Lucinda, Noor, Priscilla, Rosalind, Svetlana, Thandiwe, Ursula, Winifred, Yuki, Zeynep"""
)
MEN = _split(
    """Otto, Ambrose, Bartholomew, Cedric, Dmitri, Ezekiel, Fergus, Gustavo, Hiroshi, Ignatius, Jorge, Kwame,
    Lorenzo, Nathaniel, Olumide, Percival, Quentin, Rashid, Stellan, Tobias, Umberto, Viktor, Wendell,
    Xavier"""
)
SURNAMES = _split(
    """Tan, Brandt, Okafor, Lindqvist, Castellanos, Dubois, Eriksen, Farrow, Galloway, Hashimoto, Iversen,
    Jankowski, Kapoor, Lomax, Mbeki, Nyberg, Oyelaran, Petrov, Quigley, Rahman, Silva, Thackeray,
    Underhill, Vasquez, Whitlock, Xiong, Yamada, Zielinski, Abernathy, Bellweather, Crowe, Delacroix,
    Eastwood, Fitzgerald, Grimshaw, Ibarra, Juarez, Marchetti, Osgood, Pemberton, Rutherford"""
)
TOWNS = _split(
    """Ostby, Carrowmere, Velden, Thornwick, Pellanor, Graskow, Huntsbury, Lirando, Maplecroft, Nerriton,
    Quillford, Rusholt, Tarvalla, Umbergate, Wexcombe, Yarrowdale, Zelmont, Ashfordham, Brindlebury,
    Coldharrow, Duskeld, Eskerville, Fennimoor, Glenstrand, Hollinsea, Inverlay, Jasperton, Kestrel Bay,
    Langmoor, Pikebridge, Northolme, Ullapeel, Sorrento Hill, Appleyard Cross"""
)
BELONGINGS = _split(
    """a tin whistle, a green umbrella, a chess set, a pair of binoculars, a sewing kit, a folding chair, a
    jar of honey, a deck of cards, a walking stick, a bag of walnuts, a hand mirror, a penknife, a
    hot-water bottle, an atlas, a bundle of newspapers, a coffee grinder, a sketchbook, a fishing rod, an
    alarm clock, a feather pillow, a typewriter, a picnic basket, a magnifying glass, a spare pair of
    boots, a leather suitcase, a bar of soap, a spinning top, a birdcage"""
)
PET_NAMES = _split(
    """Biscuit, Captain, Domino, Ember, Fudge, Ginger, Hamlet, Juniper, Lucky, Mustard, Nutmeg, Olive, Pepper,
    Rocket, Shadow, Truffle, Velvet, Whiskers, Ziggy, Bramble, Clover, Dumpling, Marble, Pickle"""
)
ANIMALS = _split("a dog, a cat, a goat, a parrot, a rabbit, a pony, a tortoise, a ferret")
COLOURS = _split(
    """red, green, blue, yellow, white, black, grey, orange, purple, pink, brown, silver, golden, turquoise,
    striped"""
)
GARMENTS = _split("scarf, waistcoat, hat, jumper, jacket")
INSTRUMENTS = _split(
    """the cello, the trumpet, the accordion, the harp, the banjo, the clarinet, the bagpipes, the piano, the
    violin, the drums, the ukulele, the oboe, the tuba, the mandolin, the flute, the zither"""
)
DISHES = _split(
    """onion soup, apple pie, lentil stew, mushroom risotto, potato dumplings, fish curry, pancakes, roast
    chicken, cheese omelettes, bean salad, noodle broth, pumpkin bread, stuffed peppers, rice pudding, beef
    goulash, spinach lasagne, cabbage rolls, chestnut cake"""
)
HOBBIES = _split(
    """stamps, seashells, old coins, matchboxes, fossils, postcards, buttons, teaspoons, bottle caps, dried
    flowers, railway tickets, marbles, butterflies, thimbles, theatre posters, glass beads, feathers,
    keyrings"""
)
DRINKS = _split("tea, coffee, cocoa, milk, lemonade, apple juice")
WEEKDAYS = _split("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday")
MARKS = _split(
    """a red star, a black anchor, the letter K, two crossed keys, a white feather, a small crown, an oak
    leaf, a golden sun, a blue wave, the number 7, a running hare, a silver bell, a yellow arrow, three
    dots"""
)
# Arrivals all fall before anything in EVENT_MONTHS, so that nobody is at work before having come.
ARRIVAL_MONTHS = (("April", 30), ("May", 31), ("June", 30))
EVENT_MONTHS = ("September", "October", "November")


def an(phrase: str) -> str:
    """The phrase with its indefinite article."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
