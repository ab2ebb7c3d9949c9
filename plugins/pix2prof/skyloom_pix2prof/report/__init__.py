"""The report ``skyloom report``: how well captioners read profiles, after Smith et al. (2021)."""
