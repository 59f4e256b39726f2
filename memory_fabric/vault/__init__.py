"""The only door to plaintext: keys, sealing and opening against permits, letters between sites."""
