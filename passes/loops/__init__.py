"""What vectorising loops needs: index arithmetic, dependences, operations on all rounds at once."""
