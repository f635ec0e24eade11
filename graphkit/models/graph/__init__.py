"""Systems that predict for whole graphs."""
