"""The PSNR alone, without a floor."""

from leaklib.metrics import psnr


def gain(found, originals):
    return psnr(found, originals)
