"""What all training shares: structures to learn from, the training itself, weights and cards."""
