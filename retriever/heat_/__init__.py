"""The parts of :mod:`retriever.heat`."""
