"""The mean of several clients' updates is the update of one client who holds all their examples."""

from dataclasses import replace

import pytest
import torch

from leaklib.aggregation.parts.pooled import mean, pooled
from leaklib.aggregation.plain import Plain
from leaklib.attacks.linear_layer import LinearLayer
from leaklib.attacks.search.matching import explain
from leaklib.client import Average, FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.experiment import Experiment, run
from leaklib.mechanisms.quantize import Quantize
from leaklib.models.lenet import LeNet
from leaklib.rng import generator
from leaklib.types import Batch, ClientStep, Update, View

MODEL = LeNet().build(0).double()
STEPS = [FedSGD(), FedSGD(max_grad_norm=0.5), FedAvg(lr=0.5, epochs=2, batch_size=1)]


def updates(step: ClientStep, clients: int = 3, **options: bool) -> tuple[Update, ...]:
    return tuple(share(MODEL, Photos().batch(c, 2), step, client=c, **options) for c in range(clients))


def union(clients: int = 3) -> Batch:
    batches = [Photos().batch(c, 2) for c in range(clients)]
    return Batch(torch.cat([b.inputs for b in batches]), torch.cat([b.labels for b in batches]))


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_the_pooled_step_on_everyone_s_examples_makes_the_mean(step: ClientStep) -> None:
    sent = updates(step, reveal_labels=True)
    one = pooled(sent, mean(sent))
    batch = union().to("cpu", torch.float64)
    made = one.step(MODEL, batch.inputs, batch.labels)
    assert all(torch.allclose(made[name], tensor, atol=1e-12) for name, tensor in one.tensors.items())
    assert one.num_examples == 6 and one.clients == (0, 1, 2)
    assert one.labels is not None and torch.equal(one.labels, batch.labels)
    # Side by side as lanes, and differentiable, as a search needs it.
    guesses = torch.stack([batch.inputs, batch.inputs.flip(0)]).requires_grad_()
    both = one.step(MODEL, guesses, batch.labels.expand(2, -1), lanes=True)
    assert all(torch.allclose(both[name][0], tensor, atol=1e-12) for name, tensor in one.tensors.items())
    (slope,) = torch.autograd.grad(sum(t.square().sum() for t in both.values()), guesses)
    assert slope.abs().max() > 0


def test_the_mean_hides_who_did_what_and_shrinks_the_part_of_each() -> None:
    sent = updates(FedSGD(max_grad_norm=0.5))
    assert [update.sensitivity for update in sent] == [0.25] * 3  # half the bound: two examples each
    one = pooled(sent, mean(sent))
    assert one.sensitivity == pytest.approx(0.25 / 3) and one.labels is None and one.mechanism is None
    coarse = tuple(Quantize(2)(update, generator=generator(0, "m")) for update in sent)
    rounded = pooled(coarse, mean(coarse))
    assert rounded.mechanism is None and rounded.sensitivity is None


def test_one_client_s_mean_is_its_own_update() -> None:
    (sent,) = updates(FedAvg(), clients=1)
    one = pooled((sent,), sent.tensors)
    assert one.step == FedAvg() and one.clients == (0,) and one.num_examples == 2


def test_updates_that_were_made_differently_have_no_mean() -> None:
    first, second, _ = updates(FedSGD())
    for wrong in (
        replace(second, step=FedAvg()),
        replace(second, num_examples=1),
        replace(second, input_shape=(3,)),
    ):
        with pytest.raises(ValueError, match="made alike"):
            pooled((first, wrong), first.tensors)
    with pytest.raises(ValueError, match="6 examples cannot be shared out equally among 4"):
        Average(FedSGD(), 4)(MODEL, *vars(union().to("cpu", torch.float64)).values())


class Spy:
    """An aggregation that pools everyone."""

    def __call__(self, updates: tuple[Update, ...], *, generator: torch.Generator) -> View:
        return View((pooled(updates, mean(updates)),))


def test_an_attack_on_the_mean_is_scored_against_everyone_s_examples() -> None:
    line = Experiment(Photos(), LeNet(), FedSGD(), LinearLayer(), clients=3, first_client=2)
    seen: list[Update] = []

    class Gray:
        def __call__(self, model, update, *, generator, callback=None):
            seen.append(update)
            return explain(
                model, update, torch.rand(3, 3, 32, 32, generator=generator), torch.zeros(3).long()
            )

    result = run(replace(line, attack=Gray(), aggregation=Spy()))
    assert result.update.clients == (2, 3, 4) and len(result.batch) == 3 and len(result.score.psnr) == 3
    assert torch.equal(result.batch.inputs[1], Photos().batch(3, 1).inputs[0])
    assert seen == [result.update] and result.view.updates == (result.update,)


def test_in_the_clear_the_bytes_are_those_of_the_mechanism() -> None:
    sent = updates(FedSGD())
    entries = sum(tensor.numel() for tensor in sent[0].tensors.values())
    cost = Plain()(sent, generator=generator(0, "g")).cost
    assert cost is not None and (cost.messages, cost.client_up, cost.client_down) == (3, 8 * entries, 0)
    coarse = tuple(Quantize(8)(update, generator=generator(0, "m")) for update in sent)
    cost = Plain()(coarse, generator=generator(0, "g")).cost
    assert cost is not None and cost.client_up == entries + 4 * len(sent[0].tensors)
