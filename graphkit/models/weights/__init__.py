"""Systems that read the weights of neural networks."""
