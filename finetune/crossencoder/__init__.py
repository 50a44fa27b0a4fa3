"""The small cross-encoder: a description and a tile's listing, read together, to one score."""
