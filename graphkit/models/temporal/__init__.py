"""Systems that predict which nodes meet next in a stream of events."""
