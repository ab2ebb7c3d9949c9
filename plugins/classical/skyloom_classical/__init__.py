"""Classical measurements of galaxies under the tasks of Skyloom."""
