"""The drawn world: small pictures drawn by code from a seed, in which every picture's concepts are known."""
