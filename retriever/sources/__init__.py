"""Readers for what the world gives us: map extracts and overhead imagery."""
