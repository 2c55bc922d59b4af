"""What SecAgg and CCESA share: graphs, masks, the parties, and the round."""
