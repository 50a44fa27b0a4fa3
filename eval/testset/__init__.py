"""The frozen test set of explained match pairs: its files, how they are read and checked, and what scores on them."""

from pathlib import Path

FROZEN = Path(__file__).parent / "v1"
"""The version that this Sightline ships."""
