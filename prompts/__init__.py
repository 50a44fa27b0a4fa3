"""What do we say to the model, and what may it say back? Schemas, templates, chat clients, claims."""
