"""Side by side with peers. Prints tables; asserts nothing about time."""
