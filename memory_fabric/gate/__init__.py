"""The only place of decision: questions become permits here, and opened data becomes releases."""
