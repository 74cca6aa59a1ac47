"""The places that passages are set in. What is told in one of them could not be told in another's words."""

from __future__ import annotations

from dataclasses import dataclass

from .pools import _split


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened once, after which things were arranged differently."""

    noun: str
    verb: str  # with the noun before it and "in October." after it, a sentence

    def line(self, month: str) -> str:
        return f"{self.noun[0].upper()}{self.noun[1:]} {self.verb} in {month}."


@dataclass(frozen=True, slots=True)
class Setting:
    """One kind of place. `names` are its possible proper names; `{n}` in a text stands for the one chosen."""

    key: str
    names: tuple[str, ...]
    plain: str  # the opening sentence of a plain passage
    openings: tuple[str, ...]
    record: str  # the document that varied prose leans on: "{record} says that ..."
    lodging: str  # people slept in "the green <lodging>"
    tally: tuple[str, str, str]  # what people did a number of times: sold, sell, tickets
    modes: tuple[str, ...]
    places: tuple[str, ...]  # all go with "in" and "to"
    jobs: tuple[str, ...]
    deeds: tuple[str, ...]
    things: tuple[str, ...]
    duties: tuple[str, ...]  # what one person after another looked after
    events: tuple[Event, ...]
    fillers: tuple[str, ...]


def _the(text: str) -> tuple[str, ...]:
    return tuple(f"the {part}" for part in _split(text))


def _events(text: str) -> tuple[Event, ...]:
    return tuple(Event(*(half.strip() for half in part.split("|"))) for part in _split(text))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


HARBOUR = Setting(
    key="harbour",
    names=_split("Saltmere, Gullhaven, Port Hesper, Tidewell, Cragmouth"),
    plain="{n} was a small harbour town.",
    openings=_lines(
        """The harbour town of {n} lay between two cliffs and the open sea.
        In {n}, a fishing harbour of narrow streets, most things were written down sooner or later.
        There was more talk than fish in {n} that year.
        The ferry called at {n} twice a week and rarely stayed long."""
    ),
    record="the harbour log",
    lodging="cottage",
    tally=("mended", "mend", "nets"),
    modes=_split("by train, by ferry, by bicycle, by bus, on foot, on horseback"),
    places=_the(
        """boathouse, chapel, fish market, customs house, lighthouse, school, bakery, town hall, rope store,
        tavern, sail loft, post office, smokehouse, ice cellar"""
    ),
    jobs=_the(
        """harbour pilot, baker, lighthouse keeper, customs officer, boat builder, postmaster, net maker,
        doctor, schoolteacher, ferry captain, fishmonger, sailmaker, blacksmith, librarian"""
    ),
    deeds=_split(
        """repaired the church bell, painted the ferry, found the lost anchor, built the new jetty, rang the
        fog horn, rescued the stranded seal, translated the old charter, planted the lime tree, won the
        rowing race, caught the giant eel, designed the town flag, cleaned the fountain, wrote the ballad,
        cut the ribbon, delivered the telegram, drew the tide table, dug the well, hid the spare oars"""
    ),
    things=_the(
        """brass lantern, ship's compass, sea chest, silver trophy, model schooner, barometer, painted
        figurehead, pearl necklace, whalebone comb, oil portrait, copper kettle, wooden cradle, rum barrel,
        glass float"""
    ),
    duties=_the("harbour keys, cash box, lifeboat, weather flags"),
    events=_events("the flood | came, the great storm | struck, the regatta | was held, the strike | began"),
    fillers=_lines(
        """Gulls circled over the roofs all day.
        The tide came and went.
        Nobody locked a door.
        The streets smelled of tar and seaweed, and nobody minded.
        At dusk the lamps along the quay were lit one by one.
        Rain was common.
        The wind rarely dropped before evening, and the shutters rattled until then.
        Visitors usually asked about the fish and left again.
        Children played between the upturned boats.
        Most evenings ended with songs.
        The sea could be heard from every window.
        Fog hid the far cliffs for days at a time."""
    ),
)

EXPEDITION = Setting(
    key="expedition",
    names=_split(
        "the Harrowgate Expedition, the Tolvar Expedition, the Northern Survey, the Red Plateau Expedition"
    ),
    plain="{n} crossed the desert.",
    openings=_lines(
        """{n} set out to map a desert that no chart showed in full.
        The diary of {n} was kept by many hands, and it wanders.
        Few journeys were prepared as slowly as that of {n}.
        When {n} was assembled at last, its members hardly knew one another."""
    ),
    record="the expedition diary",
    lodging="tent",
    tally=("weighed", "weigh", "rock samples"),
    modes=_split("by camel, by truck, by aeroplane, by river boat, on foot, on horseback"),
    places=_the(
        """supply wagon, cook's tent, map room, first camp, dry well, upper cave, radio hut, stone tower, mule
        shed, old fort, river camp, signal post, salt mine, palm grove"""
    ),
    jobs=_the(
        """navigator, cook, surveyor, geologist, radio operator, photographer, doctor, guide, botanist, camel
        driver, mechanic, quartermaster, interpreter, cartographer"""
    ),
    deeds=_split(
        """repaired the radio, found the hidden spring, drew the coast map, climbed the red cliff, tamed the
        wild camel, deciphered the inscription, built the raft, buried the time capsule, shot the film,
        discovered the cave paintings, fixed the broken axle, named the new lake, cured the fever, sewed
        the expedition flag, counted the dunes, measured the crater, dug the latrine, lit the signal fire"""
    ),
    things=_the(
        """sextant, water barrel, iron stove, telescope, medicine chest, gramophone, rope ladder, canvas boat,
        bone flute, clay tablet, meteorite, pocket watch, silk carpet, ivory box"""
    ),
    duties=_the("water ration, spare tyres, pay chest, camels"),
    events=_events(
        "the sandstorm | came, the halt | began, the river crossing | took place, the earthquake | struck"
    ),
    fillers=_lines(
        """The nights were bitterly cold.
        Sand got into everything.
        The camels complained from morning to evening, and with reason.
        Water was never wasted.
        Vultures followed the column at a great height.
        On clear nights the talk around the fire turned to home.
        Nobody slept well.
        The horizon looked the same in every direction for weeks.
        Letters could not be sent and were written all the same.
        Maps were corrected almost daily.
        At noon all work stopped and everyone looked for shade.
        The silence surprised every newcomer."""
    ),
)

MUSEUM = Setting(
    key="museum",
    names=_split("the Arden Museum, the Wolcott Museum, the Museum of Lost Trades, the Fernby Museum"),
    plain="{n} stood beside a park.",
    openings=_lines(
        """{n} stood at the end of a quiet avenue and was larger inside than it looked.
        Whoever works at {n} leaves a trace in its files.
        {n} had more rooms than visitors and more stories than either.
        For its anniversary {n} looked through its own papers."""
    ),
    record="the staff file",
    lodging="room",
    tally=("restored", "restore", "paintings"),
    modes=_split("by tram, by bus, by bicycle, by taxi, on foot, by train"),
    places=_the(
        """east gallery, reading room, coin cabinet, sculpture hall, roof studio, north stairwell, cloakroom,
        lecture hall, archive, print room, glass pavilion, workshop, boardroom, basement vault"""
    ),
    jobs=_the(
        """curator, night guard, archivist, restorer, ticket seller, architect, accountant, gardener, tour
        guide, carpenter, photographer, bookbinder, director, cleaner"""
    ),
    deeds=_split(
        """repaired the tower clock, unmasked the forgery, catalogued the beetles, opened the sealed crate,
        lost the master key, bought the mummy, wrote the guidebook, hung the tapestry, identified the
        skeleton, polished the armour, caught the thief, reopened the tearoom, hosted the ambassador,
        rewired the chandelier, dusted the whale, fed the peacocks, chose the wallpaper, labelled the
        fossils"""
    ),
    things=_the(
        """bronze mask, marble bust, astrolabe, velvet throne, jade dragon, porcelain vase, stuffed owl, music
        box, Roman helmet, painted fan, crystal goblet, ebony desk, gold mirror, stone axe"""
    ),
    duties=_the("visitors' book, alarm system, rare seeds, donation box"),
    events=_events(
        "the rebuilding | began, the burglary | happened, the centenary | was held, the audit | took place"
    ),
    fillers=_lines(
        """The floors creaked.
        On Sundays the halls filled with families.
        The heating worked when it wished.
        Dust was a constant enemy.
        School classes came and went, and the guards sighed with relief.
        In winter the skylights were covered with snow.
        The café closed early.
        A smell of wax hung in every corridor.
        Visitors often got lost on the way to the exit and were led back.
        Some labels had not been changed for decades.
        The lifts were slow.
        No two guides told the same story about the founders."""
    ),
)

FESTIVAL = Setting(
    key="festival",
    names=_split("the Lantern Festival, the Riverside Festival, the Midsummer Fair, the Harvest Gathering"),
    plain="{n} lasted all summer.",
    openings=_lines(
        """{n} grew out of a single concert in a meadow.
        Nobody had planned {n} to last all summer, but it did.
        The people behind {n} were seldom seen on its stages.
        {n} was loud, crowded and surprisingly well organised."""
    ),
    record="the programme",
    lodging="caravan",
    tally=("sold", "sell", "tickets"),
    modes=_split("by train, by van, by bicycle, by bus, by motorcycle, by boat"),
    places=_the(
        """main tent, ticket office, dance barn, costume shed, puppet theatre, kitchen, sound booth, press
        room, old mill, mirror maze, first-aid hut, lamp store, beer hall, rose garden"""
    ),
    jobs=_the(
        """stage manager, juggler, sound engineer, cook, costume maker, announcer, fire-eater, accountant,
        puppeteer, electrician, choir leader, magician, dance teacher, set painter"""
    ),
    deeds=_split(
        """repaired the carousel, wrote the opening song, lit the bonfire, carved the ice swan, built the
        stage, found the missing donkey, judged the pie contest, painted the banner, won the sack race,
        lost the microphone, released the doves, steered the parade float, baked the giant pretzel, booked
        the brass band, sewed the curtain, stopped the fight, launched the balloon, hid the treasure"""
    ),
    things=_the(
        """silver drum, papier-mâché lion, barrel organ, crystal ball, velvet cape, popcorn machine, wooden
        horse, paper dragon, jewelled crown, megaphone, tightrope, magic wand, disco globe, unicycle"""
    ),
    duties=_the("cash register, guest list, fireworks, lost property"),
    events=_events(
        "the thunderstorm | came, the power cut | happened, the grand parade | was held, the fire | broke out"
    ),
    fillers=_lines(
        """Music could be heard until dawn.
        The grass turned to mud.
        Children ran everywhere.
        Queues formed early, and few people seemed to mind the wait.
        The smell of fried onions drifted across the field.
        Paper lamps swung between the trees.
        Somebody was always singing.
        The neighbours complained at first and then came to watch.
        Sleep was rare.
        By midnight most of the shoes had been abandoned.
        The weather held longer than anyone had dared to hope.
        Posters covered every wall."""
    ),
)

STATION = Setting(
    key="station",
    names=_split("Halley Point Station, Mount Corvin Station, Station Borealis, Kerguel Station"),
    plain="{n} was a research station in the ice.",
    openings=_lines(
        """{n} was a handful of huts on a plain of ice.
        For most of the year no ship could reach {n}.
        Life at {n} followed a timetable that hung beside the stove.
        Those who wintered at {n} learned a great deal about one another."""
    ),
    record="the station log",
    lodging="cabin",
    tally=("launched", "launch", "weather balloons"),
    modes=_split("by plane, by icebreaker, by dog sled, by helicopter, by snowmobile, on skis"),
    places=_the(
        """laboratory, radio room, greenhouse, generator hut, observatory, sauna, cold store, mess hall,
        seismic vault, balloon shed, garage, infirmary, drill tower, drying room"""
    ),
    jobs=_the(
        """meteorologist, cook, diver, engineer, astronomer, physician, pilot, biologist, radio operator,
        plumber, electrician, glaciologist, chemist, station leader"""
    ),
    deeds=_split(
        """repaired the generator, spotted the comet, rescued the penguin, drilled the deepest core, decoded
        the signal, grew the first tomato, crossed the crevasse, recorded the whale song, fixed the
        satellite dish, found the meteor, built the snow wall, saved the seed bank, broke the thermometer,
        named the iceberg, carved the ice chess board, filmed the aurora, tuned the antenna, thawed the
        water pipe"""
    ),
    things=_the(
        """microscope, spare propeller, red sledge, seismograph, oxygen tank, solar panel, film projector, ice
        saw, telegraph key, dinghy, centrifuge, globe, weather vane, toolbox"""
    ),
    duties=_the("fuel records, sledge dogs, emergency radio, vegetable beds"),
    events=_events(
        "the blizzard | came, the blackout | happened, the supply ship's visit | took place, the thaw | began"
    ),
    fillers=_lines(
        """The sun did not set.
        Wind shook the huts.
        Every door had to be dug free in the morning.
        Coffee was rationed.
        The stove was never allowed to go out, whatever the hour.
        Old films were shown again and again.
        Ice formed on the inside of the windows.
        Nobody went out alone.
        On still days the glacier could be heard moving.
        Birthdays were celebrated with more noise than cake.
        News from outside came late and in short sentences.
        Boots dried slowly."""
    ),
)

FARM = Setting(
    key="farm",
    names=_split("Hollow Farm, Larkspur Orchard, the Penhale Estate, Cold Spring Farm"),
    plain="{n} was a large fruit farm.",
    openings=_lines(
        """{n} lay in a valley where spring came late.
        Everyone who worked at {n} remembered that year well.
        The fields of {n} ran down to a slow brown river.
        {n} needed many hands, and it found them in unlikely places."""
    ),
    record="the farm book",
    lodging="barn",
    tally=("picked", "pick", "baskets of pears"),
    modes=_split("by tractor, by bus, by bicycle, by train, on foot, by cart"),
    places=_the(
        """cider house, dairy, hayloft, stable, packing shed, root cellar, beehouse, dovecote, greenhouse,
        kitchen, tool shed, granary, wash house, gatehouse"""
    ),
    jobs=_the(
        """beekeeper, shepherd, cook, bookkeeper, blacksmith, cheese maker, gardener, tractor driver, vet,
        miller, cider maker, carpenter, lorry driver, basket weaver"""
    ),
    deeds=_split(
        """repaired the windmill, won the ploughing match, dug the duck pond, built the stone wall, found the
        old coins, delivered the twin calves, planted the walnut avenue, chased the fox, painted the
        weathercock, broke the cider press, grafted the plum trees, sheared the black ram, drove the
        combine, fenced the bull, mapped the drains, trained the sheepdog, tasted the first vintage, burned
        the scarecrow"""
    ),
    things=_the(
        """copper still, rocking chair, oak table, grandfather clock, milk churn, hay rake, iron bell, butter
        mould, silver teapot, spinning wheel, seed drill, carved bench, hunting horn, patchwork quilt"""
    ),
    duties=_the("wage book, chickens, orchard ladders, medicine cupboard"),
    events=_events(
        "the hailstorm | came, the auction | took place, the harvest supper | was held, the drought | ended"
    ),
    fillers=_lines(
        """The river rose and fell.
        Blackbirds stole the cherries.
        Work began before sunrise.
        The radio in the yard played all day, mostly to the hens.
        Wasps were a nuisance.
        After supper the long benches were carried outside.
        Mist lay in the lower fields until noon.
        Mud stuck to every boot.
        The neighbours lent a horse when one was needed.
        There was always another gate to mend.
        The dogs slept in the shade.
        In the heat of the afternoon nothing moved but the bees."""
    ),
)

SETTINGS = (HARBOUR, EXPEDITION, MUSEUM, FESTIVAL, STATION, FARM)

# For the last few words of a passage, in any setting.
ASIDES = _lines(
    """Time passed.
    Much was forgotten.
    The days went by.
    Nobody found that strange.
    So much is certain.
    Most of this is well known.
    The rest was a matter of patience.
    That summer seemed longer than most.
    Little else was talked about for weeks.
    Such things were remembered for a long time."""
)
