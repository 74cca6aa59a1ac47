"""Who may play what: leases against a plain model of them, under random joining, dying and coming back."""

from __future__ import annotations

import random

from oversight.engine.sharing.leases import LEAST, OWNER, Leases

LINES = [(), (0,), (0, 1)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def leases(n: int, ttl: float = 10.0) -> tuple[Leases, Clock]:
    clock = Clock()
    found = Leases(ttl, clock)
    for key in range(n):
        found.add(key, LINES[key % 3])
    found.join(OWNER)
    return found, clock


def test_no_episode_has_two_holders_none_is_lost_and_none_is_done_twice() -> None:
    for seed in range(60):
        dice = random.Random(seed)
        n = dice.randint(1, 60)
        held, clock = leases(n)
        holder: dict[int, int] = {}
        calls: dict[int, int] = {}
        heard = {OWNER: 0.0}
        done: set[int] = set()
        expired: set[int] = set()
        for _ in range(400):
            clock.now += dice.choice([0, 0.1, 1, 3])
            for who in held.expire():
                assert clock.now - heard[who] > 10 and who not in expired and who != OWNER
                expired.add(who)
                holder = {k: w for k, w in holder.items() if w != who}
                calls = {k: w for k, w in calls.items() if w != who}
            who = dice.choice(list(heard))
            what = dice.random()
            if what < 0.05:
                new = max(heard) + 1
                held.join(new)
                heard[new] = clock.now
            elif what < 0.08 and who != OWNER:
                held.leave(who)
                del heard[who]
                expired.discard(who)
                holder = {k: w for k, w in holder.items() if w != who}
                calls = {k: w for k, w in calls.items() if w != who}
            elif what < 0.3:
                assert held.hear(who) == (who not in expired)
                expired.discard(who)
                heard[who] = clock.now
            elif who in expired:
                assert not any(held.holds(who, key) for key in range(n))
            elif what < 0.55:
                for key in held.take(who, dice.choice(LINES), dice.randint(1, 12)):
                    assert key not in holder and key not in done
                    holder[key] = who
                mine = [key for key, w in holder.items() if w == who]
                assert len(mine) <= max(LEAST, n)
            elif what < 0.8:
                mine = [key for key, w in holder.items() if w == who]
                for key in mine[: dice.randint(0, 5)]:
                    del holder[key]
                    if dice.random() < 0.2:
                        held.give_back(who, key)
                    else:
                        held.done(who, key)
                        done.add(key)
            elif what < 0.9:
                call = dice.randrange(8)
                assert held.of_another(who, call) == (calls.get(call, who) != who)
                assert held.claim(who, call) == (calls.setdefault(call, who) == who)
            else:
                mine = [call for call, w in calls.items() if w == who]
                held.release(who, range(8))  # those of others stay theirs
                for call in mine:
                    del calls[call]
            assert held.left == n - len(done)
            assert all(held.holds(w, key) for key, w in holder.items())
        held.hear(OWNER)
        for other in [w for w in heard if w != OWNER]:
            held.leave(other)
        holder = {key: w for key, w in holder.items() if w == OWNER}
        while len(done) < n:
            for key in [*holder, *held.take(OWNER, (), n)]:
                holder.pop(key, None)
                held.done(OWNER, key)
                assert key not in done
                done.add(key)
        assert held.left == 0


def test_nobody_takes_all_so_that_who_joins_later_finds_something() -> None:
    held, _ = leases(100)
    assert len(held.take(OWNER, (), 1000)) == 50
    held.join(1)
    assert len(held.take(1, (), 1000)) == 33
    assert not held.take(OWNER, (), 1)
    few, _ = leases(5)
    assert len(few.take(OWNER, (), 1000)) == 5


def test_what_a_dead_member_held_comes_first_and_in_order() -> None:
    held, clock = leases(40)
    held.join(1)
    first = held.take(1, (0,), 5)
    clock.now = 4
    held.expire()
    held.hear(OWNER)
    for clock.now in (8, 11):
        assert held.expire() == ([1] if clock.now == 11 else [])
    assert held.take(OWNER, (0,), 5) == first
    assert not held.holds(1, first[0]) and not held.hear(1) and held.hear(1)


def test_an_owner_that_stood_still_takes_nothing_from_members_it_could_not_hear() -> None:
    held, clock = leases(40)
    held.join(1)
    taken = held.take(1, (), 5)
    clock.now = 500  # as after SIGSTOP: nobody looked meanwhile
    assert held.expire() == []
    assert all(held.holds(1, key) for key in taken)
    late = []
    for _ in range(4):
        clock.now += 4
        late += held.expire()
    assert late == [1] and not held.holds(1, taken[0])
