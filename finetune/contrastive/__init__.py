"""Contrastive training of any open_clip model: texts to tiles (CrossText2Loc), all views to satellite (GLEAM-C)."""
