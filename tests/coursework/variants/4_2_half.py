"""Divides with floating-point numbers: right as long as all weights are whole and small."""


def open_secret(shares, prime):
    secret = 0.0
    for one, value in shares.items():
        weight = 1.0
        for other in shares:
            if other != one:
                weight *= other / (other - one)
        secret += value * weight
    return round(secret) % prime
