"""Scores of hourly series: plain sums over arrays, without a database."""
