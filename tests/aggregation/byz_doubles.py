"""Clients of ByzSecAgg that do not do what they should: test doubles for the rounds of test_byz*.py."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from leaklib.aggregation.byzantine.client import ByzClient
from leaklib.aggregation.byzantine.messages import ByzPhase, Complaint, Dealt, Numbers
from leaklib.aggregation.byzantine.norm import bits, projections, weights
from leaklib.aggregation.byzantine.round import Byzantine
from leaklib.aggregation.byzantine.rules import ByzRules
from leaklib.aggregation.crypto.field import (
    P,
    add,
    elements,
    from_bytes,
    interpolation,
    matmul,
    product,
    signed,
    to_bytes,
)
from leaklib.aggregation.crypto.ramp import shares
from leaklib.aggregation.crypto.stream import Stream

METHODS = {
    ByzPhase.ADVERTISE_KEYS: "advertise_keys",
    ByzPhase.DEAL: "deal",
    ByzPhase.PROVE: "prove",
    ByzPhase.COMBINE: "combine",
    ByzPhase.COMPLAIN: "complain",
    ByzPhase.DISTANCES: "distances",
    ByzPhase.ECHO: "echo",
    ByzPhase.SUM: "sum",
}


class Double(ByzClient):
    """A client whose ``say`` decides what it answers in each phase, given what an honest one would say."""

    def say(self, phase: ByzPhase, honest: Callable[[], list]) -> list:
        return honest()


def _spoken(phase: ByzPhase, name: str) -> Callable:
    def method(self, *told):
        def honest() -> list:
            said = getattr(ByzClient, name)(self, *told)
            return said if isinstance(said, list) else [said]

        return self.say(phase, honest)

    return method


for _phase, _name in METHODS.items():
    setattr(Double, _name, _spoken(_phase, _name))


class Dropout(Double):
    """Honest until it is gone, in the midst of a phase: of several messages it still sends the first ones."""

    leaves: ByzPhase
    sends: int = 0

    def say(self, phase: ByzPhase, honest: Callable[[], list]) -> list:
        if phase < self.leaves:
            return honest()
        return honest()[: self.sends] if phase == self.leaves else []


class Cut(Numbers):
    """A message that arrives without its last byte."""

    def encode(self) -> bytes:
        return super().encode()[:-1]


def vanishing(rules: ByzRules, at: list[int], terms: int) -> list[int]:
    """A polynomial of at most ``terms`` coefficients, zero at members ``at``, one at X^(K−1) if it can."""
    zeros = [1]
    for member in at[: terms - 1]:
        zeros = product(zeros, [-rules.point_of(member), 1])
    zeros += [0] * (rules.blocks - len(zeros))
    scale = pow(zeros[rules.blocks - 1] or 1, -1, P)
    return [c * scale % P for c in zeros]


def value(polynomial: list[int], x: int) -> int:
    return sum(c * pow(x, k, P) for k, c in enumerate(polynomial)) % P


@dataclass
class Plot:
    """What a group of Byzantine clients has agreed on, drawn with ``seed``."""

    rules: ByzRules
    bad: tuple[int, ...]
    seed: int
    draw: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.draw = np.random.default_rng(self.seed)
        honest = [member for member in self.rules.members if member not in self.bad]
        self.draw.shuffle(honest)
        self.victims = set(honest[: self.draw.integers(0, len(honest))])
        self.framed = set(honest[: self.draw.integers(1, 3)])
        fooled = [member for member in honest if member not in self.victims]
        self.masks = vanishing(self.rules, fooled, self.rules.product_terms)
        self.shift = vanishing(self.rules, fooled, self.rules.terms)
        self.size = int(self.draw.integers(1, 2**60))

    def chance(self, probability: float) -> bool:
        return bool(self.draw.random() < probability)

    def one_of(self, *things: str) -> str:
        return things[self.draw.integers(len(things))]


class Attacker(Double):
    """Byzantine, with the others of its ``plot``: what it does in each phase is drawn."""

    plot: Plot
    late: list

    def prepare(self, plot: Plot) -> "Attacker":
        self.plot, self.late = plot, []
        self.loud = plot.chance(0.5)  # or it does nothing that the server sees at once
        self.leaves = plot.draw.integers(1, 8) if self.loud and plot.chance(0.3) else 8
        self.dealing = plot.one_of("fair", "fair", "masks", "masks", "first", "second", "unreadable", "short")
        self.answering = plot.one_of("fair", "fair", "random", "agreed", "agreed", "agreed", "short")
        return self

    def say(self, phase: ByzPhase, honest: Callable[[], list]) -> list:
        plot = self.plot
        try:
            said = honest()
        except (ValueError, KeyError):  # it cheated so that it cannot go on
            return []
        if phase >= self.leaves:
            return []
        if phase in (ByzPhase.DISTANCES, ByzPhase.SUM):
            said = self._wrong(said, plot.masks if phase == ByzPhase.DISTANCES else plot.shift)
        if not self.loud:
            return said
        said = getattr(self, f"_{METHODS[phase]}_instead", lambda said: said)(said)
        before, self.late = self.late, []
        kind = plot.one_of(*["in time"] * 20, "late", "cut", "twice", "for others")
        if kind == "late":
            self.late = said
            return before
        if kind == "cut":
            return [Cut(self.number, elements([1, 2])), *said]
        if kind == "for others":
            return [*said, Numbers(min(plot.framed), elements([1] * 3)), Numbers(999, elements([1]))]
        return said + said if kind == "twice" else said + before

    def _advertise_keys_instead(self, said: list) -> list:
        (keys,) = said
        kind = self.plot.one_of(*["fair"] * 20, "short", "small", "another")
        if kind == "short":
            return [replace(keys, receiving=keys.receiving[:-1])]
        if kind == "small":
            return [replace(keys, receiving=(bytes(32), *keys.receiving[1:]))]
        if kind == "another":  # of a key whose secret it does not know
            return [replace(keys, receiving=(b"\x09" + bytes(31), *keys.receiving[1:]))]
        return said

    def _to(self, other: int, plain: bytes) -> Dealt:
        plot, rules = self.plot, self.rules
        if self._phase == ByzPhase.DEAL and other in plot.victims and self.dealing != "fair":
            parts = np.split(from_bytes(plain), np.cumsum(rules.dealt)[:-1])
            polynomial = plot.masks if self.dealing == "masks" else plot.shift
            error = elements([value(polynomial, rules.point_of(other)) * plot.size % P])
            place = {"masks": 2, "first": 0, "second": 1}.get(self.dealing)
            if place is not None:
                parts[place] = add(parts[place], error)
                plain = to_bytes(np.concatenate(parts))
        message = super()._to(other, plain)
        if self._phase == ByzPhase.DEAL and other in plot.victims:
            if self.dealing == "unreadable":
                return replace(message, sealed=bytes([message.sealed[0] ^ 1]) + message.sealed[1:])
            if self.dealing == "short" and plot.chance(0.1):
                return replace(message, sealed=message.sealed[:-8])
        if self._phase == ByzPhase.ECHO and plot.chance(0.1):
            return replace(message, sealed=bytes(len(message.sealed)))
        return message

    def _bits(self) -> np.ndarray:
        padded = np.zeros(self.rules.blocks * self.rules.length, np.int64)
        padded[: len(self._vector)] = self._vector
        values, beta = projections(self._seed, len(padded)) @ padded, self.rules.beta
        kind = self.plot.one_of("clipped", "first digit", "random")
        if np.abs(values).max() <= beta:
            return bits(values, beta)
        if kind == "random":
            return self.plot.draw.integers(0, 2, self.rules.proof - 1)
        if kind == "clipped":
            return bits(values.clip(-beta, beta), beta)
        digits = np.zeros((len(values), len(weights(beta))), np.int64)  # adds up, but these are no bits
        digits[:, 0] = values + beta
        return digits.reshape(-1)

    def _prove_instead(self, said: list) -> list:
        return said[1:] if self.plot.chance(0.03) else said

    def _deal_instead(self, said: list) -> list:
        return said[1:] if self.plot.chance(0.05) else said

    def _combine_instead(self, said: list) -> list:
        (numbers,) = said
        kind = self.plot.one_of(*["fair"] * 6, "random", "short")
        if kind == "random":
            return [self.lie(numbers)]
        return [Numbers(self.number, numbers.values[:-1])] if kind == "short" else said

    def _complain_instead(self, said: list) -> list:
        kind = self.plot.one_of("none", "none", "true", "false", "false", "wrong secret", "malformed")
        framed = tuple(sorted(self.plot.framed | set(self.plot.bad[:1]) - {self.number}))
        secrets = tuple(self._receiving[name] for name in framed)
        return {
            "none": [Complaint(self.number, (), ())],
            "true": said,
            "false": [Complaint(self.number, framed, secrets)],
            "wrong secret": [Complaint(self.number, framed[:1], (bytes(32),))],
            "malformed": [Complaint(self.number, (*framed, 999), secrets)],
        }[kind]

    def _wrong(self, said: list, polynomial: list[int]) -> list:
        (numbers,) = said
        agreed = elements([value(polynomial, self.rules.point_of(self.number)) * self.plot.size % P])
        return {
            "fair": said,
            "random": [self.lie(numbers)],
            "agreed": [Numbers(self.number, add(numbers.values, agreed))],
            "short": [Numbers(self.number, numbers.values[:-1])],
        }[self.answering]


def substitute(r: Byzantine, number: int, kind: type[ByzClient], seed: int = 0) -> ByzClient:
    """Put a double in the place of a client."""
    r.clients[number] = kind(number, r.server.rules, stream=Stream(seed, "double", number))
    return r.clients[number]


def shared(r: Byzantine, dealer: int, honest: list[int]) -> np.ndarray:
    """The vector that the shares of the ``honest`` holders define, as integers. They must fit each other."""
    rules, held = r.server.rules, {h: r.clients[h]._held[dealer] for h in honest}
    points = [rules.point_of(holder) for holder in honest]
    rows = np.stack([held[holder].first[:-1] for holder in honest])
    coefficients = matmul(interpolation(points[: rules.terms]), rows[: rules.terms])
    assert np.array_equal(shares(coefficients, points), rows), dealer
    return signed(coefficients[: rules.blocks].reshape(-1)).astype(object)
