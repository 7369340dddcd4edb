"""What every page shares: its frame, its style, its escaping."""
