"""Does a device compute right? Named cases, when a result is close enough, and every variant run on them."""
