"""What all aggregations share."""
