"""SQL over staged tables becomes hits; hourly counts become scores, and scores hits."""
