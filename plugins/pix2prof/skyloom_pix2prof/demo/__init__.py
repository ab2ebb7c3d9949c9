"""The verb ``skyloom demo``: a small survey, profiled and compared with the truth."""
