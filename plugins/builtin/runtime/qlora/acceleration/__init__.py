"""Optional speed-ups: torch.compile and Liger kernels."""
