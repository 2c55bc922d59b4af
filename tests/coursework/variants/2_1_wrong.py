"""Cuts towards zero and forgets to multiply by the step."""


def rounded(values, step, draws):
    return (values / step).trunc()
