"""Match and no-match pairs with evidence and explanations (the GLEAM-X task), from any gallery with map facts."""
