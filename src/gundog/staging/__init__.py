"""Lake files become rows of staged tables."""
