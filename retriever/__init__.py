"""Which tiles could it be, and what does the map say? Sources, galleries, dual encoder, indexes, oracle."""
