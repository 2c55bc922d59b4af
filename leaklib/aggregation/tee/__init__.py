"""What runs inside the stand-in for an enclave."""
