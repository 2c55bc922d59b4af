"""Laws of randomness: same seed and role, same numbers; another role, another stream; nothing global."""

import torch

from leaklib.rng import generator


def draw(seed: int, role: str) -> torch.Tensor:
    return torch.rand(8, generator=generator(seed, role))


def test_a_role_always_draws_the_same() -> None:
    assert torch.equal(draw(3, "attack"), draw(3, "attack"))
    # A known answer: a change of the derivation would silently change every result of the book.
    assert generator(0, "attack").initial_seed() == 836116371821250299


def test_roles_and_seeds_draw_independently() -> None:
    assert not torch.equal(draw(3, "attack"), draw(3, "mechanism"))
    assert not torch.equal(draw(3, "attack"), draw(4, "attack"))
    # "1" + "2/x" and "12" + "/x" must not meet.
    assert not torch.equal(draw(1, "2/x"), draw(12, "x"))


def test_the_global_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw(0, "attack")
    assert torch.equal(before, torch.get_rng_state())
