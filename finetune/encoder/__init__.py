"""Contrastive training of the dual encoder."""
