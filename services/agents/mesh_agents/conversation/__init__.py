"""What a conversation holds: who said what, what of it fits a model, and what its last question means by itself."""
