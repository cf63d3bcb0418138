"""Running the stream: the embedded stack, the demonstration, and the lag as seen from outside."""
