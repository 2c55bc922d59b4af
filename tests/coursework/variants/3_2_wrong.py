"""Walks along the directions that leave a trace, instead of the others."""

import torch


def twin_towards(jacobian, picture, target):
    wish = (target - picture).flatten()
    return picture + (torch.linalg.pinv(jacobian) @ (jacobian @ wish)).view(picture.shape)
