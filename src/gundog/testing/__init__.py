"""Examples and mutations of detections."""
