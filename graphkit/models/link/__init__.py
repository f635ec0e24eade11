"""Systems that predict links."""
