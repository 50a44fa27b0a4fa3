"""People rate explanations: assignments, the page, what comes out. Start it with ``sightline rate``."""
