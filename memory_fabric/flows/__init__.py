"""What a site does, one use case a file. Flows know ports, gate and vault, and no adapter."""
