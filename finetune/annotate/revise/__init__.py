"""People decide what two annotators disagree on. Start it with ``sightline annotate revise``."""
