"""Systems that predict for nodes."""
