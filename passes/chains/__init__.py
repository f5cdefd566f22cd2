"""Orders of chains of matrix products: what they cost, and which the data decides."""
