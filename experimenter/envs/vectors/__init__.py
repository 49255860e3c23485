"""Vector environments of several kinds behind one contract, and the choice among them."""
