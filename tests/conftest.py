"""One thread per process: the tests run side by side, and results do not depend on the number of cores."""

import torch

torch.set_num_threads(1)
