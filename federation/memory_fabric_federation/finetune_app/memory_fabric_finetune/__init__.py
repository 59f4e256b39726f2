"""The Flower app: at a node it only carries letters, at the aggregator it runs the rounds."""
