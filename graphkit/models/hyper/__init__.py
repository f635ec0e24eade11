"""Systems on hypergraphs; each is found by name (:func:`graphkit.models.build`)."""
