"""What staging and hunting cost, beside the cost of merely decoding the same columns."""
