"""Pages on captioners: how far their profiles are from the truth, and from each other."""
