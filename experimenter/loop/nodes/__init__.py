"""The stops of the loop: one file, one function, one node of the graph, all of the same name."""
