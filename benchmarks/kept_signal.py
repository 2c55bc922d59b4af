"""One picture from one gradient of a trained network: the signal kept, or computed anew by DLG.

    python benchmarks/kept_signal.py     # 400 evaluations on ConvNet 64 after 1,000 steps, 12 victims
    python benchmarks/kept_signal.py --evaluations 1500 --victims 0 5

A victim is a window of the right halves of the photographs; the network learned on the left ones. Both
attacks compute in float64 and read the label off the update, which the client computed in float32.
"""

import argparse
import statistics

import torch

from leaklib.attacks.dlg import IDLG
from leaklib.attacks.naive import Precise
from leaklib.attacks.signal_matching import SignalMatching
from leaklib.client import FedSGD
from leaklib.data import Photos
from leaklib.experiment import Experiment, run
from leaklib.metrics import gray_floor
from leaklib.models.convnet import ConvNet
from leaklib.models.pretrained import Pretrained
from leaklib.plots import table

TOLD = (0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12)  # number 5 sends no readable signal: its p rounds to 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evaluations", type=int, default=400)
    parser.add_argument("--training", type=int, default=1000, help="steps of training")
    parser.add_argument("--victims", type=int, nargs="+", default=TOLD, help="numbers of windows")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    attacks = {
        "signal kept": SignalMatching(steps=arguments.evaluations // 20),
        "DLG": Precise(IDLG(steps=arguments.evaluations // 20)),
    }
    network, lines = Pretrained(ConvNet(64), arguments.training), []
    for victim in arguments.victims:
        scores = []
        for attack in attacks.values():
            e = Experiment(Photos(side="right"), network, FedSGD(), attack, first_client=victim)
            try:
                result = run(e)
            except ValueError as error:
                print(f"victim {victim}: {error}")
                break
            scores.append(result.score.psnr.item())
        else:
            lines.append([victim, gray_floor(e.data.batch(victim, 1).inputs).item(), *scores])
            print(f"victim {victim}: " + ", ".join(f"{score:.1f}" for score in scores), flush=True)
    print(table(["victim", "gray", *attacks], [[v, *(f"{x:.1f}" for x in rest)] for v, *rest in lines]))
    for name, values in zip(attacks, list(zip(*lines, strict=True))[2:], strict=True):
        low, high = min(values), max(values)
        print(f"{name}: median {statistics.median(values):.1f}, {low:.1f} to {high:.1f} dB")


if __name__ == "__main__":
    main()
