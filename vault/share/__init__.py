"""The way to the network share: only ciphertext, under names that mean nothing, proven whole before it counts."""
