"""The audit: whether what the vault holds, here and on the share, is what it must be. It changes nothing."""
