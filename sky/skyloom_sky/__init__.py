"""A mock sky whose truth is known: galaxies, fields, and what is true of them."""
