"""The arena: the same frozen candidates for every kind of reranker, and one report that only reads."""
