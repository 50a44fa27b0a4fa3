"""Data sets in and out: typed features, parquet folders with a card, and the layouts of published data sets."""
