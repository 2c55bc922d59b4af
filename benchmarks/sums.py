"""What a server gets past a sum: by sending other models to others, and by summing many times.

    python benchmarks/sums.py runs.jsonl              # twenty minutes; can be stopped and resumed
    python benchmarks/sums.py runs.jsonl --collect    # stores it for the book

Eight clients with one photograph each, that of the package, and FedSGD through `SecAgg`. PSNR in dB with
peak 1, each beside that of the mid-gray picture. One thread.
"""

import copy
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from runs import Case, Runs, Witness, begun, collected, command_line, execute, numbers, read
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from leaklib.aggregation.secagg import SecAgg
from leaklib.attacks.dlg import IDLG
from leaklib.attacks.recursive import Recursive
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.metrics import psnr
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.named import flatten, unflatten
from leaklib.rng import generator
from leaklib.types import Attack, Tensors, Update

TARGET = Path(__file__).parent.parent / "leaklib" / "results" / "sums.json"
CLIENTS, COHORT = 8, 4
NETWORKS = {"LeNet": LeNet(), "ConvNet 64": ConvNet(64)}
ATTACKS: dict[str, Attack] = {"Recursive": Recursive(), "IDLG": IDLG(steps=30)}
SHORT = IDLG(steps=15)  # for many courses
RATES, SEEDS, VICTIMS = (0.0, 1e-4, 1e-3, 1e-2, 3e-2), range(5), 3


def photograph(client: int) -> Tensor:
    return Photos().batch(client, 1).inputs


def own(model: nn.Module, client: int) -> Update:
    return share(model, Photos().batch(client, 1), FedSGD(), client=client)


def scores(found: Tensor, client: int) -> dict[str, float]:
    """The PSNR of what was found against a client's photograph, and that of mid-gray."""
    true = photograph(client)
    return {"psnr": psnr(found, true).item(), "gray": psnr(torch.full_like(true, 0.5), true).item()}


# --- a model for the victim, another for all others ---


def silenced(model: nn.Module) -> nn.Module:
    """A copy whose last features are 0, with slope 0, for any picture, and which is sure of class 0.

    Its gradient is 0 but for the last bias, where it is a whole number in every entry.
    """
    dead = copy.deepcopy(model)
    with torch.no_grad():
        dead.get_parameter("conv3.bias").fill_(-1e3)
        dead.get_parameter("fc.bias")[0] = 1e3
    return dead


def separated(total: Tensors) -> Tensors:
    """The victim's gradient, out of its sum with those of ``silenced`` models.

    The last bias has the victim's probabilities after the point; the label's is less by 1, and its row of the
    last weight is the longest.
    """
    bias = total["fc.bias"] % 1
    bias[total["fc.weight"].norm(dim=1).argmax()] -= 1
    return total | {"fc.bias": bias}


def singled_out(network: str, victim: int, bind_model: bool) -> tuple[nn.Module, Update, Update]:
    """The honest model, the victim's update, and what the server makes of the sum."""
    model = NETWORKS[network].build(0)
    others = silenced(model)
    sent = tuple(own(model if client == victim else others, client) for client in range(CLIENTS))
    aggregation = SecAgg(bind_model=bind_model, fraction_bits=24)
    (mean,) = aggregation(sent, generator=generator(victim, "aggregation")).updates
    total = {name: CLIENTS * tensor for name, tensor in mean.tensors.items()}
    return model, sent[victim], replace(sent[victim], tensors=separated(total))


def one_victim(network: str, attack: str, victim: int, bind_model: bool) -> Case:
    """How exact the separated gradient is, and what an attack makes of it."""
    model, true, seen = singled_out(network, victim, bind_model)
    gap = max((seen.tensors[name] - tensor).abs().max().item() for name, tensor in true.tensors.items())
    try:
        found = ATTACKS[attack](model, seen, generator=generator(victim, "attack")).inputs
    except ValueError as refusal:  # a closed form sees that no picture explains this
        return {"furthest entry": gap, "refused": str(refusal)}
    return {"furthest entry": gap} | scores(found, victim)


def one_victim_witness(network: str, attack: str, victim: int, bind_model: bool) -> Witness:
    model, _, seen = singled_out(network, victim, bind_model)
    if bind_model:  # noise, in which rounding decides how a search goes on and what a closed form refuses
        return numbers([tensor.norm().item() for tensor in seen.tensors.values()])
    return begun(ATTACKS[attack], model, seen, victim)


def models() -> Runs:
    """Every client as the victim, with masks bound to the model and without."""
    for network, attack in (("LeNet", "Recursive"), ("LeNet", "IDLG"), ("ConvNet 64", "IDLG")):
        for bind_model in (False, True):
            for victim in range(CLIENTS):
                if (network, attack, bind_model) == ("LeNet", "IDLG", False):
                    continue  # the closed form is exact there
                case = {"network": network, "attack": attack, "victim": victim, "bind_model": bind_model}
                yield case, partial(one_victim, **case), partial(one_victim_witness, **case)


# --- many rounds ---


def trained(lr: float, seed: int) -> tuple[nn.Module, nn.Module, np.ndarray, list[Tensor]]:
    """The model before and after, who took part in each round (rounds×clients), and the sums.

    Cohorts are drawn until they determine each client's update, if that never changes. The server takes one
    step of this learning rate per round.
    """
    first = NETWORKS["ConvNet 64"].build(0)
    model, draw, rows, sums = copy.deepcopy(first), np.random.default_rng(seed), [], list[Tensor]()
    while not rows or np.linalg.matrix_rank(np.array(rows)) < CLIENTS:
        cohort = sorted(draw.choice(CLIENTS, COHORT, replace=False).tolist())
        sent = tuple(own(model, client) for client in cohort)
        aggregation = SecAgg(fraction_bits=24)
        (mean,) = aggregation(sent, generator=generator(len(rows), "aggregation")).updates
        rows.append([float(client in cohort) for client in range(CLIENTS)])
        sums.append(COHORT * flatten(mean.tensors).double())
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight -= lr * mean.tensors[name]
    return first, model, np.array(rows), sums


def disaggregated(lr: float, seed: int) -> tuple[nn.Module, nn.Module, int, list[tuple[Update, Update]]]:
    """Both models, the number of rounds, and of some clients the first update with its estimate.

    The estimate is that of least squares, as if no update had changed.
    """
    first, last, rows, sums = trained(lr, seed)
    estimates = torch.from_numpy(np.linalg.pinv(rows)) @ torch.stack(sums)
    pairs = []
    for client in ((seed + 3 * i) % CLIENTS for i in range(VICTIMS)):
        true = own(first, client)
        pairs.append((true, replace(true, tensors=unflatten(estimates[client], true.tensors))))
    return first, last, len(rows), pairs


def one_course(lr: float, seed: int) -> Case:
    """How far the updates moved in these rounds, how far off the estimates are, and what an attack finds."""
    first, last, rounds, pairs = disaggregated(lr, seed)
    everyone = Photos().batch(0, CLIENTS)
    losses = [cross_entropy(m(everyone.inputs), everyone.labels).item() for m in (first, last)]
    found: Case = {"rounds": rounds, "losses": losses, "victims": []}
    for true, estimate in pairs:
        then, guess = flatten(true.tensors), flatten(estimate.tensors)
        now = flatten(own(last, true.client).tensors)
        picture = SHORT(first, estimate, generator=generator(seed, "attack")).inputs
        alike = {
            "cosine": cosine_similarity(then, now, 0).item(),
            "error": ((guess - then).norm() / then.norm()).item(),
        }
        found["victims"].append({"client": true.client} | alike | scores(picture, true.client))
    return found


def one_course_witness(lr: float, seed: int) -> Witness:
    first, _, rounds, pairs = disaggregated(lr, seed)
    return [float(rounds), *begun(SHORT, first, pairs[0][1], seed)]


def rounds() -> Runs:
    """Sums over cohorts of half of the clients, until they determine each client's update."""
    for lr in RATES:
        for seed in SEEDS:
            case = {"lr": lr, "seed": seed}
            yield case, partial(one_course, **case), partial(one_course_witness, **case)


PARTS = {part.__name__: part for part in (models, rounds)}


def main() -> None:
    arguments = command_line(__doc__, PARTS, TARGET).parse_args()
    torch.set_num_threads(1)
    rows = read(*arguments.runs)
    if arguments.collect:
        TARGET.write_text(json.dumps(collected(rows, PARTS), indent=1) + "\n")
    else:
        for part in arguments.only or list(PARTS):
            execute(part, PARTS[part](), rows, arguments.runs[0])


if __name__ == "__main__":
    main()
