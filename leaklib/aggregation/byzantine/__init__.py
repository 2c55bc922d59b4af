"""What ByzSecAgg is made of: the parties, their messages, and the round."""
