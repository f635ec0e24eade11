"""Systems for knowledge graphs: typed edges, triples."""
