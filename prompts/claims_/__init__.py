"""The parts of claim extraction; the entry point is :func:`prompts.claims.extract_claims`."""
