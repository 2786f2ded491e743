"""From whatever people have to a clean, split, fingerprinted workspace."""
