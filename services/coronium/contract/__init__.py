"""What the messages of the stream mean: topics, limits, headers, conversion and identity."""
