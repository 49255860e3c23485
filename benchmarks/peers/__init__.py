"""What stands in one table: this engine and its peers, each a program of its own that answers the same question."""
