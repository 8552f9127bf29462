"""What was not looked at, and what somebody acknowledged of it."""
