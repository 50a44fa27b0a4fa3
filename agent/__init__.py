"""Is it this one, and why? Rerankers, confidence, the LangGraph graph, model serving, conversation."""
