"""The comparison table: each mechanism in two systems, one of which is attacked and one trained.

    the attacked one   8 clients, a photograph of 32×32 pixels each, untrained ConvNet 64, one round
    the trained one    16 clients, 90 digits of 8×8 pixels each, Mlp of 32 units, 100 rounds

No system serves both: a gradient determines the pictures in a sum only if it has more numbers than they have
pixels, and noise of ε = 2 on so many numbers is longer than the sum. The attacker takes the update of fewest
examples that it can read. Every mechanism with noise has the noise multiplier that gives (2, 10⁻⁵)-DP over
100 rounds for one example, adjacency zero out, with everyone in every round. In the attacked system a client
is one example; in the trained one it is 90, and its own ε is above a thousand.

Chapters: 12, 15.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.ccesa import CCESA
from leaklib.aggregation.central import CentralDP
from leaklib.aggregation.enclave import Enclave
from leaklib.aggregation.plain import Plain
from leaklib.aggregation.secagg import SecAgg
from leaklib.attacks.dlg import DLG, IDLG
from leaklib.client import FedAvg, FedSGD
from leaklib.data import Digits
from leaklib.experiment import Experiment
from leaklib.mechanisms.discrete import Skellam
from leaklib.mechanisms.gaussian import GaussianNoise
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.models.mlp import Mlp
from leaklib.results.sweeps import ATTACKS, BASE, SIGNS, repeated
from leaklib.training import Training
from leaklib.types import Attack

ATTACKED, TRAINED = 8, 16  # clients
EXAMPLES = 90  # of each client in training
ROUNDS = 100
EPSILON, DELTA = 2.0, 1e-5
# The smallest noise multiplier for that many rounds, rounded up; a test holds it against the accountant.
NOISE = 19.94


@dataclass(frozen=True)
class Contender:
    """One row: what is attacked, how often, and what is trained.

    ``runs`` differ in photographs, network and the attack's start.
    """

    attacked: Experiment
    trained: Training
    runs: int = 3

    def experiments(self, attack: Attack, *, labels: bool = True) -> list[Experiment]:
        """The runs of one attack; ``labels`` says whether the clients reveal them."""
        return repeated(replace(self.attacked, attack=attack, reveal_labels=labels), self.runs)


CLIPPED = FedSGD(max_grad_norm=1.0)
LINE = replace(BASE, clients=ATTACKED, reveal_labels=True)
TRAINING = Training(Digits(), Mlp(), FedSGD(), clients=TRAINED, batch_size=EXAMPLES, rounds=ROUNDS, lr=1.0)


def _contender(runs: int = 3, *, lr: float = TRAINING.lr, **parts: object) -> Contender:
    """The same parts in attack and training."""
    return Contender(replace(LINE, **parts), replace(TRAINING, lr=lr, **parts), runs)


def _skellam(clients: int, bits: int) -> dict[str, object]:
    """Parts whose noise is shared among ``clients``, on a grid of step 2^-``bits``."""
    mechanism, aggregation = Skellam(NOISE, clients, bits), SecAgg(fraction_bits=bits)
    return {"step": CLIPPED, "mechanism": mechanism, "aggregation": aggregation}


CONTENDERS: Mapping[str, Contender] = {
    "plain FedSGD": _contender(5),
    "plain FedAvg": _contender(5, step=FedAvg(lr=0.5, epochs=2), lr=1.0),
    "8 bits": _contender(5, mechanism=Quantize(8)),
    "1 bit (signs)": _contender(5, mechanism=SignSGD(), lr=0.01),
    "top 1 %": _contender(5, mechanism=TopK(0.01)),
    "local DP": _contender(5, step=CLIPPED, mechanism=GaussianNoise(NOISE)),
    "central DP": _contender(step=CLIPPED, aggregation=CentralDP(NOISE)),
    "SecAgg": _contender(aggregation=SecAgg()),
    # At its own p*, which is 1 for so few clients: the graph is complete.
    "CCESA": _contender(aggregation=CCESA()),
    "ByzSecAgg": Contender(
        replace(LINE, aggregation=ByzSecAgg(byzantine=1, blocks=2, colluders=1, selected=3)),
        # What is applied is the sum of those selected over the number of all.
        replace(
            TRAINING,
            aggregation=ByzSecAgg(byzantine=2, blocks=2, colluders=2, dropouts=1, selected=8),
            lr=2 * TRAINING.lr,
        ),
    ),
    "enclave (stand-in)": _contender(aggregation=Enclave()),
    "8 bits + SecAgg": _contender(mechanism=Quantize(8), aggregation=SecAgg()),
    "Skellam + SecAgg": Contender(
        # Noise as large as the first one's must be drawn on a coarser grid.
        replace(LINE, **_skellam(ATTACKED, 14)),
        replace(TRAINING, **_skellam(TRAINED, 20)),
    ),
}
LARGER = {f"SecAgg, {n} clients": replace(LINE, aggregation=SecAgg(), clients=n) for n in (16, 64)}

# Who lacks the labels: one picture's is read off the update, those of a sum are counted, or sought along
# with the pictures where clipping and noise leave nothing to count.
SHARP, SMOOTH = IDLG(steps=60), IDLG(steps=60, total_variation=1e-3)
# DLG gets four starts: where noise or a large sum leaves nothing to find, more would only spend evaluations.
COUNTED, SOUGHT = ATTACKS["InvertingGradients"], DLG(steps=60, restarts=3)
KNOWN = {name: replace(how, restarts=3) if isinstance(how, DLG) else how for name, how in ATTACKS.items()}
WITHOUT: Mapping[str, Mapping[str, Attack]] = {
    "plain FedSGD": {"iDLG": SHARP},
    "plain FedAvg": {"iDLG": SHARP, "InvertingGradients": COUNTED},
    "8 bits": {"iDLG": SHARP},
    "1 bit (signs)": {"smooth signs": SIGNS},
    "top 1 %": {"iDLG, smooth": SMOOTH},
    "local DP": {"iDLG, smooth": SMOOTH},
    "central DP": {"DLG": SOUGHT},
    "Skellam + SecAgg": {"DLG": SOUGHT},
}


def _attacks(experiment: Experiment) -> Mapping[str, Attack]:
    """Those that can win: behind signs and top 1 % the ones of chapter 9, and no prior on exact sums.

    What CCESA and ByzSecAgg let be read is the sum that SecAgg gives, on which DLG is the best.
    """
    if isinstance(experiment.mechanism, SignSGD):
        return {"smooth signs": SIGNS}
    if isinstance(experiment.aggregation, Plain):
        return KNOWN
    few = ("DLG",) if isinstance(experiment.aggregation, CCESA | ByzSecAgg) else ("DLG", "InvertingGradients")
    return {name: KNOWN[name] for name in few}


def comparison() -> dict[tuple[str, str, str], list[Experiment]]:
    """(mechanism, attack, labels): labels are "known" or "not known"; and SecAgg over more clients."""
    sweep = {}
    for name, contender in CONTENDERS.items():
        for attack, how in _attacks(contender.attacked).items():
            sweep[name, attack, "known"] = contender.experiments(how)
        for attack, how in WITHOUT.get(name, {"InvertingGradients": COUNTED}).items():
            sweep[name, attack, "not known"] = contender.experiments(how, labels=False)
    for name, base in LARGER.items():
        runs = 3 if base.clients == 16 else 1  # minutes each
        sweep[name, "DLG", "known"] = repeated(replace(base, attack=KNOWN["DLG"]), runs)
    return sweep
