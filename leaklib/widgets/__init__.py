"""What a reader moves: explorers that answer without a kernel, and live attacks that need one."""
