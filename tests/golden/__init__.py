"""Values that other systems computed once, and the programs that made them."""
