"""One picture: decoded right, and turned into a model's input."""
