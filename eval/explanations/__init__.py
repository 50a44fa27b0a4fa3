"""Scoring explanations: claims, counterfactuals, twin languages, judges, overlap; in that order of trust."""
