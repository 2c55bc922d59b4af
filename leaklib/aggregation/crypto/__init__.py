"""The arithmetic and cryptography that protocols stand on."""
