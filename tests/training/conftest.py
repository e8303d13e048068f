"""Training tests compute small things: one thread is faster than two that wait for each other on a busy machine."""

import torch

torch.set_num_threads(1)
