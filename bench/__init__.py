"""`make bench`: the vault beside the tools that a user would pick instead, case by case, in one run."""
