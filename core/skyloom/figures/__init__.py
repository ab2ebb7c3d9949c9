"""What all figures share: one style, and a colour for each model and each band."""
